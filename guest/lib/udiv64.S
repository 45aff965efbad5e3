/* uvlong udiv64(uvlong n, uint d, uint *rest): two DIVs, high word first */
	.section .text.udiv64, "ax", @progbits
	.globl udiv64
	.type udiv64, @function
udiv64:	pushl %ebx
	movl 16(%esp), %ecx
	xorl %edx, %edx
	movl 12(%esp), %eax
	divl %ecx
	movl %eax, %ebx
	movl 8(%esp), %eax
	divl %ecx
	movl 20(%esp), %ecx
	testl %ecx, %ecx
	jz 1f
	movl %edx, (%ecx)
1:	movl %ebx, %edx
	popl %ebx
	ret
	.size udiv64, . - udiv64

	.section .note.GNU-stack, "", @progbits
