/* rotext: writes into its own text, which is read-only; dies of it. */

	.section .text.start, "ax", @progbits
	.globl _start
	.type _start, @function
_start:
	movl $0, _start		/* sys: trap: fault write */
	pushl $status
	pushl $0
	movl $8, %eax		/* exits */
	int $0x40
status:	.asciz "wrote into the text"
	.size _start, . - _start
