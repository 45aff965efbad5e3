/* exits(0), by hand: the argument lies above the place of a return address, the call's number is in AX */
	.globl _start
_start:
	movl word, %eax
	pushl $0
	pushl $0
	movl $8, %eax
	int $0x40

	.data
word:	.long 1
