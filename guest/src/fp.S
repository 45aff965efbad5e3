/*
 * What C for a Pentium cannot say: all FPU and SSE registers at once, and the exceptions one by one.
 */
	.text

/* void hold(double in[8], double out[8], char xin[8][16], char xout[8][16], void (*between)(void)) */
	.globl hold
hold:
	pushl %esi
	movl 8(%esp), %eax
	movl 16(%esp), %edx
	fninit
	fldl 56(%eax)
	fldl 48(%eax)
	fldl 40(%eax)
	fldl 32(%eax)
	fldl 24(%eax)
	fldl 16(%eax)
	fldl 8(%eax)
	fldl (%eax)
	movups (%edx), %xmm0
	movups 16(%edx), %xmm1
	movups 32(%edx), %xmm2
	movups 48(%edx), %xmm3
	movups 64(%edx), %xmm4
	movups 80(%edx), %xmm5
	movups 96(%edx), %xmm6
	movups 112(%edx), %xmm7
	call *24(%esp)
	movl 12(%esp), %eax
	movl 20(%esp), %edx
	movups %xmm0, (%edx)
	movups %xmm1, 16(%edx)
	movups %xmm2, 32(%edx)
	movups %xmm3, 48(%edx)
	movups %xmm4, 64(%edx)
	movups %xmm5, 80(%edx)
	movups %xmm6, 96(%edx)
	movups %xmm7, 112(%edx)
	fstpl (%eax)
	fstpl 8(%eax)
	fstpl 16(%eax)
	fstpl 24(%eax)
	fstpl 32(%eax)
	fstpl 40(%eax)
	fstpl 48(%eax)
	fstpl 56(%eax)
	popl %esi
	ret

/* void divide(void): 1/0, told at the WAIT */
	.globl divide, divide_pc, divide_wait
divide:
	fldz
	fld1
divide_pc:
	fdivp %st, %st(1)
divide_wait:
	fwait
	fstp %st(0)
	ret

/* void later(void): 1/0, and nothing of the FPU after it */
	.globl later
later:
	fldz
	fld1
	fdivp %st, %st(1)
	ret

/* void load(ulong env[7]): an FPU environment, whose exceptions are told at the WAIT */
	.globl load
load:
	movl 4(%esp), %eax
	fldenv (%eax)
	fwait
	ret

/* void one(void) */
	.globl one
one:
	fld1
	fstp %st(0)
	ret

	.section .note.GNU-stack, "", @progbits
