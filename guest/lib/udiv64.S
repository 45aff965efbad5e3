/* uvlong udiv64(uvlong n, uint d, uint *rest): two DIVs, high word first */
	.cfi_sections .debug_frame
	.section .text.udiv64, "ax", @progbits
	.globl udiv64
	.type udiv64, @function
udiv64:	.cfi_startproc
	pushl %ebx
	.cfi_adjust_cfa_offset 4
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
	.cfi_adjust_cfa_offset -4
	ret
	.cfi_endproc
	.size udiv64, . - udiv64

	.section .note.GNU-stack, "", @progbits
