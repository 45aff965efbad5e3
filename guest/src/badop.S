/* badop: executes an instruction that no 386 has; dies of it. */

	.section .text.start, "ax", @progbits
	.globl _start
	.type _start, @function
_start:
	ud2			/* sys: trap: invalid opcode */
	pushl $status
	pushl $0
	movl $8, %eax		/* exits */
	int $0x40
status:	.asciz "executed ud2"
	.size _start, . - _start
