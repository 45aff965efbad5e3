/* 256 pages of code for textpressure.c: page i is a function that returns ~i, and breakpoints behind it. */

	.section .codepages, "ax", @progbits
	.balign 4096, 0xcc
	.globl presspages
	.type presspages, @function
presspages:
	.set page, 0
	.rept 256
	movl $~page, %eax
	ret
	.balign 4096, 0xcc
	.set page, page + 1
	.endr
	.size presspages, . - presspages
