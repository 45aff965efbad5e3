/*
 * Entry of every program. The kernel's exec left: SP at argc, then argv[0..argc-1] and a nil; AX the
 * address of Tos at the top of the stack; all other registers zero. What main returns is the exit
 * status: nil or "" for success, else a message.
 */
	.section .text.start, "ax", @progbits
	.globl _start
	.type _start, @function
_start:
	movl (%esp), %ecx
	leal 4(%esp), %edx
	pushl %eax		/* main(argc, argv, tos) */
	pushl %edx
	pushl %ecx
	call main
	pushl %eax		/* exits(status) */
	call exits
	.size _start, . - _start
