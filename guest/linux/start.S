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

	.section .text.pwrite, "ax", @progbits
	.globl pwrite
pwrite:	pushl %ebx		/* write(): the offset is always -1 */
	movl 8(%esp), %ebx
	movl 12(%esp), %ecx
	movl 16(%esp), %edx
	movl $4, %eax
	int $0x80
	popl %ebx
	ret

	.section .text.open, "ax", @progbits
	.globl open
open:	pushl %ebx		/* open(): the modes that a benchmark uses are the same */
	movl 8(%esp), %ebx
	movl 12(%esp), %ecx
	movl $5, %eax
	int $0x80
	popl %ebx
	ret

	.section .text.close, "ax", @progbits
	.globl close
close:	pushl %ebx
	movl 8(%esp), %ebx
	movl $6, %eax
	int $0x80
	popl %ebx
	ret

	.section .text.pread, "ax", @progbits
	.globl pread
pread:	pushl %ebx		/* read(): the offset is always -1 */
	movl 8(%esp), %ebx
	movl 12(%esp), %ecx
	movl 16(%esp), %edx
	movl $3, %eax
	int $0x80
	popl %ebx
	ret

	.section .text.stat, "ax", @progbits
	.globl stat
stat:	pushl %ebx		/* stat64() */
	movl 8(%esp), %ebx
	movl 12(%esp), %ecx
	movl $195, %eax
	int $0x80
	popl %ebx
	ret

	.section .text.errstr, "ax", @progbits
	.globl errstr
errstr:	movl $-1, %eax
	ret

	.section .note.GNU-stack, "", @progbits
