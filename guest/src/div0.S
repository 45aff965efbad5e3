/* div0: divides by zero; dies of it. */

	.section .text.start, "ax", @progbits
	.globl _start
	.type _start, @function
_start:
	movl $1, %eax
	cltd
	xorl %ecx, %ecx
	idivl %ecx		/* sys: trap: divide error */
	pushl $status
	pushl $0
	movl $8, %eax		/* exits */
	int $0x40
status:	.asciz "divided by zero"
	.size _start, . - _start
