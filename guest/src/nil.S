/* nil: reads address 0, where nothing is ever mapped; dies of it. */

	.section .text.start, "ax", @progbits
	.globl _start
	.type _start, @function
_start:
	movl 0, %eax		/* sys: trap: fault read addr=0x0 */
	pushl $status
	pushl $0
	movl $8, %eax		/* exits */
	int $0x40
status:	.asciz "read address 0"
	.size _start, . - _start
