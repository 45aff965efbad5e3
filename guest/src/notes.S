/*
 * Instructions that trap, each with marks in the registers that C keeps. The note handler goes on at NAME_end.
 */
#define ENTER(name) \
	.section .text.name, "ax", @progbits; \
	.globl name, name ## _pc, name ## _end; \
	.type name, @function; \
name:	pushal; \
	movl $0xb0b0b0b0, %ebx; \
	movl $0x51515151, %esi; \
	movl $0xd1d1d1d1, %edi; \
	movl $0xbebebebe, %ebp

#define LEAVE(name) \
name ## _end: \
	cmpl $0xb0b0b0b0, %ebx; \
	jne 1f; \
	cmpl $0x51515151, %esi; \
	jne 1f; \
	cmpl $0xd1d1d1d1, %edi; \
	jne 1f; \
	cmpl $0xbebebebe, %ebp; \
	jne 1f; \
	popal; \
	ret; \
1:	movl $0, %eax; \
	movl %eax, (%eax); \
	.size name, . - name

	ENTER(trapread)
trapread_pc:
	movl 0x10, %eax
	LEAVE(trapread)

	ENTER(trapwrite)
trapwrite_pc:
	movl %eax, 0x14
	LEAVE(trapwrite)

	ENTER(trapdivide)
	xorl %ecx, %ecx
trapdivide_pc:
	divl %ecx
	LEAVE(trapdivide)

	ENTER(trapbreak)
trapbreak_pc:
	int3
	LEAVE(trapbreak)

	ENTER(trapinvalid)
trapinvalid_pc:
	ud2
	LEAVE(trapinvalid)

	ENTER(trapprotect)
trapprotect_pc:
	hlt
	LEAVE(trapprotect)

	ENTER(trapcall)
	movl $999, %eax
	int $0x40
trapcall_pc:
	nop
	LEAVE(trapcall)

	.section .note.GNU-stack, "", @progbits
