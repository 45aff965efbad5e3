/*
 * Start and system calls of a guest program built for Linux: only what the benchmarks' programs use, so that
 * the same C file runs beside p9emu in an emulator of Linux.
 */
	.section .text.start, "ax", @progbits
	.globl _start
_start:
	movl (%esp), %ecx
	movl %ecx, last		/* so that there is a bss, and end lies where memory may be written */
	leal 4(%esp), %edx
	pushl $0		/* main(argc, argv, nil) */
	pushl %edx
	pushl %ecx
	call main
	pushl %eax
	call exits

	.section .bss.last, "aw", @nobits
last:	.space 4

	.section .text.exits, "ax", @progbits
	.globl exits
exits:	xorl %ebx, %ebx		/* exit(status != nil) */
	cmpl $0, 4(%esp)
	setne %bl
	movl $1, %eax
	int $0x80

	.section .text.brk_, "ax", @progbits
	.globl brk_
brk_:	pushl %ebx
	movl 8(%esp), %ebx
	movl $45, %eax
	int $0x80
	testl %ebx, %ebx	/* brk(nil) tells where the break is */
	je 1f
	cmpl %ebx, %eax		/* otherwise 0, or -1 if it is not where it was asked to be */
	sbbl %eax, %eax
1:	popl %ebx
	ret

/*
 * The rest have up to three arguments, the first ones of Plan 9's: reads and writes are at no offset, modes of open are
 * the same as far as they are used, and what stat() writes is stat64's.
 */
#define SYSCALL(name, number) \
	.section .text.name, "ax", @progbits; \
	.globl name; \
name:	pushl %ebx; \
	movl 8(%esp), %ebx; \
	movl 12(%esp), %ecx; \
	movl 16(%esp), %edx; \
	movl $number, %eax; \
	int $0x80; \
	popl %ebx; \
	ret

	SYSCALL(open, 5)
	SYSCALL(close, 6)
	SYSCALL(pread, 3)
	SYSCALL(pwrite, 4)
	SYSCALL(stat, 195)

	.section .text.errstr, "ax", @progbits
	.globl errstr
errstr:	movl $-1, %eax
	ret

	.section .note.GNU-stack, "", @progbits
