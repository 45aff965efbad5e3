/*
 * System calls: INT $0x40 with the number in AX. The kernel finds the arguments from SP+4 up, which is
 * where a C caller put them, below it the return address; the result comes back in AX.
 */
	.cfi_sections .debug_frame

#define SYSCALL(name, nr) \
	.section .text.name, "ax", @progbits; \
	.globl name; \
	.type name, @function; \
name:	.cfi_startproc; \
	movl $nr, %eax; \
	int $0x40; \
	ret; \
	.cfi_endproc; \
	.size name, . - name

	SYSCALL(bind, 2)
	SYSCALL(chdir, 3)
	SYSCALL(close, 4)
	SYSCALL(dup, 5)
	SYSCALL(alarm, 6)
	SYSCALL(exec, 7)
	SYSCALL(exits, 8)
	SYSCALL(segbrk, 12)
	SYSCALL(open, 14)
	SYSCALL(sleep, 17)
	SYSCALL(rfork, 19)
	SYSCALL(pipe, 21)
	SYSCALL(create, 22)
	SYSCALL(fd2path, 23)
	SYSCALL(brk_, 24)
	SYSCALL(remove, 25)
	SYSCALL(notify, 28)
	SYSCALL(noted, 29)
	SYSCALL(segattach, 30)
	SYSCALL(segdetach, 31)
	SYSCALL(segfree, 32)
	SYSCALL(segflush, 33)
	SYSCALL(rendezvous, 34)
	SYSCALL(semacquire, 37)
	SYSCALL(semrelease, 38)
	SYSCALL(seek_, 39)
	SYSCALL(errstr, 41)
	SYSCALL(stat, 42)
	SYSCALL(fstat, 43)
	SYSCALL(await, 47)
	SYSCALL(pread, 50)
	SYSCALL(pwrite, 51)
	SYSCALL(tsemacquire, 52)

/* syscall(nr, args...): the return address takes the number's place, so the arguments start above it */
	.section .text.syscall, "ax", @progbits
	.globl syscall, syscall_pc
	.type syscall, @function
syscall:
	.cfi_startproc
	popl %ecx
	popl %eax
	pushl %ecx
	int $0x40
syscall_pc:			/* the pc the kernel sees */
	popl %ecx
	pushl %eax		/* the caller takes the number off */
	pushl %ecx
	ret
	.cfi_endproc
	.size syscall, . - syscall

/* uvlong cycles(void) */
	.section .text.cycles, "ax", @progbits
	.globl cycles
	.type cycles, @function
cycles:	.cfi_startproc
	rdtsc
	ret
	.cfi_endproc
	.size cycles, . - cycles

	.section .note.GNU-stack, "", @progbits
