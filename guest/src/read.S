/* 256 pages of data for read.c: every word is 0x52000000 plus its number. */

	.section .datapages, "aw", @progbits
	.balign 4096
	.globl datapages
	.type datapages, @object
datapages:
	.set word, 0x52000000
	.rept 256 * 1024
	.long word
	.set word, word + 1
	.endr
	.size datapages, . - datapages
