/* true: exits with the empty status, which means success. */

	.section .text.start, "ax", @progbits
	.globl _start
	.type _start, @function
_start:
	pushl $0		/* status nil */
	pushl $0		/* where a caller's return address would be */
	movl $8, %eax		/* exits */
	int $0x40
	.size _start, . - _start
