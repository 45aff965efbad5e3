/*
 * For usertests.c: functions that trap at a known place. NAME() traps, NAME_pc is the pc that the kernel
 * must report: that of the instruction for a fault, of the next one for a system call.
 */

#define TRAPS(name) \
	.globl name, name##_pc; \
	.type name, @function; \
name

	.text

TRAPS(readnil):
readnil_pc:
	movl 0, %eax
	ret

TRAPS(writenil):
writenil_pc:
	movl $0, 0
	ret

TRAPS(writetext):
writetext_pc:
	movl $0, writetext
	ret

TRAPS(readat):				/* readat(addr) */
	movl 4(%esp), %eax
readat_pc:
	movl (%eax), %eax
	ret

TRAPS(writeat):				/* writeat(addr) */
	movl 4(%esp), %eax
writeat_pc:
	movl $1, (%eax)
	ret

TRAPS(divide):
	movl $1, %eax
	cltd
	xorl %ecx, %ecx
divide_pc:
	idivl %ecx
	ret

TRAPS(overflow):			/* the quotient does not fit */
	movl $1, %edx
	xorl %eax, %eax
	movl $1, %ecx
overflow_pc:
	divl %ecx
	ret

TRAPS(invalid):
invalid_pc:
	ud2
	ret

TRAPS(breakpoint):			/* the kernel puts the pc back by one */
breakpoint_pc:
	int3
	ret

TRAPS(halt):
halt_pc:
	hlt
	ret

TRAPS(cli):
cli_pc:
	cli
	ret

TRAPS(inport):
	movl $0x60, %edx
inport_pc:
	inb %dx, %al
	ret

TRAPS(softint):				/* a vector that user mode may not raise */
softint_pc:
	int $0x41
	ret

TRAPS(softpf):				/* nor may it forge a page fault */
softpf_pc:
	int $14
	ret

TRAPS(loadcr):
loadcr_pc:
	movl %cr3, %eax
	ret

TRAPS(pushnil):				/* SP in the first page: the push faults */
	movl $0x100, %esp
pushnil_pc:
	pushl %eax
	ret

TRAPS(callsp):				/* a system call whose arguments are nowhere */
	movl $0x100, %esp
	movl $17, %eax
	int $0x40
callsp_pc:
	ret

/*
 * int heldregs(int nr, int arg): makes system call nr with every register full; returns 0 if all but AX came
 * back as they were, else a bit for each that did not.
 */
	.globl heldregs
	.type heldregs, @function
heldregs:
	pushl %ebx
	pushl %esi
	pushl %edi
	pushl %ebp
	movl 20(%esp), %eax
	movl 24(%esp), %ecx
	movl %esp, save
	pushl %ecx
	pushl $0
	movl $0x0b0b0b0b, %ebx
	movl $0x0c0c0c0c, %ecx
	movl $0x0d0d0d0d, %edx
	movl $0x51515151, %esi
	movl $0xd1d1d1d1, %edi
	movl $0xb9b9b9b9, %ebp
	int $0x40
	movl $0, %eax
	cmpl $0x0b0b0b0b, %ebx
	je 1f
	orl $1, %eax
1:	cmpl $0x0c0c0c0c, %ecx
	je 1f
	orl $2, %eax
1:	cmpl $0x0d0d0d0d, %edx
	je 1f
	orl $4, %eax
1:	cmpl $0x51515151, %esi
	je 1f
	orl $8, %eax
1:	cmpl $0xd1d1d1d1, %edi
	je 1f
	orl $16, %eax
1:	cmpl $0xb9b9b9b9, %ebp
	je 1f
	orl $32, %eax
1:	addl $8, %esp
	cmpl %esp, save
	je 1f
	orl $64, %eax
1:	popl %ebp
	popl %edi
	popl %esi
	popl %ebx
	ret
	.size heldregs, . - heldregs

	.bss
	.balign 4
save:	.space 4
