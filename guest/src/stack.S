/*
 * int descend(int n): a frame of exactly 4096 bytes per call, return address and argument included;
 * keeps n in it, goes down n levels, and counts the frames that still hold their n on the way up.
 */
	.text
	.globl descend
	.type descend, @function
descend:
	movl 4(%esp), %ecx
	xorl %eax, %eax
	testl %ecx, %ecx
	jz 1f
	subl $4088, %esp	/* with the argument and return address pushed below: a page */
	movl %ecx, (%esp)
	leal -1(%ecx), %edx
	pushl %edx
	call descend
	popl %edx
	incl %edx		/* this frame's n */
	cmpl %edx, (%esp)
	jne 2f
	incl %eax
2:	addl $4088, %esp
1:	ret
	.size descend, . - descend
