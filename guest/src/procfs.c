/*
 * procfs: a process under the eyes of another: what /proc tells of it and lets be done to it.
 *
 * Stopping and starting, registers, memory and text of a stopped child, single system calls, note by note, exec with
 * hang, its descriptors, name space, arguments and wait records, and what is refused.
 */

#include "guest.h"

enum { PERIOD = 20 }; /* ms that a child sleeps between looks at the world */

static Tos *tos;
static char buf[8192], err[ERRMAX];
static volatile int count, stopit; /* each process's own: the children are forks */
static volatile uint magic = 0xfeedface;
static uint readonly[2] = {1, 2};
static int code = 1;

/* in the text, to be changed by a debugger */
static NOINLINE int
answer(void)
{
	int v;

	__asm__ volatile("movl $41, %0" : "=r"(v));
	return v;
}

static void
ctl(int pid, const char *request)
{
	if (procwrite(pid, "ctl", request) < 0)
		syserr(request);
}

static void
refused(int pid, const char *file, const char *text, const char *want)
{
	if (procwrite(pid, file, text) != -1)
		fail("%s to %s was taken", text, file);
	rerrstr(err, sizeof err);
	if (strcmp(err, want) != 0)
		fail("%s to %s: %s, not: %s", text, file, err, want);
}

static void
get(int pid, const char *file)
{
	if (procread(pid, file, buf, sizeof buf) < 0)
		syserr(file);
}

static int
contains(const char *s, const char *part)
{
	int n = strlen(part);

	for (; *s; s++)
		if (strncmp(s, part, n) == 0)
			return 1;
	return 0;
}

static void
has(const char *part, const char *file)
{
	if (!contains(buf, part))
		fail("no '%s' in %s: %s", part, file, buf);
}

static void
memory(int pid, uint addr, void *data, int n, int writing)
{
	int fd = procopen(pid, "mem", ORDWR);

	if (fd < 0 || (writing ? pwrite(fd, data, n, addr) : pread(fd, data, n, addr)) != n)
		syserr("mem");
	close(fd);
}

static void
registers(int pid, Ureg *u, int writing)
{
	int fd = procopen(pid, "regs", ORDWR);

	if (fd < 0 || (writing ? pwrite(fd, u, sizeof *u, 0) : pread(fd, u, sizeof *u, 0)) != (int)sizeof *u)
		syserr("regs");
	close(fd);
}

static int
child(void (*f)(void))
{
	int pid = rfork(RFPROC | RFFDG);

	if (pid < 0)
		syserr("rfork");
	if (pid == 0) {
		f();
		exits(nil);
	}
	return pid;
}

static void
ends(int pid, const char *how)
{
	Waitmsg w;
	char *s;

	if (waitchild(&w) != pid)
		fail("await: not process %d", pid);
	s = strchr(w.msg, ':');
	s = s == nil ? w.msg : s + 2;
	if (strncmp(s, how, strlen(how)) != 0 || (how[0] == 0 && s[0] != 0))
		fail("process %d ended by '%s', not '%s'", pid, s, how);
}

static void
c_count(void)
{
	while (!stopit) {
		count++;
		sleep(PERIOD);
	}
	if (magic != 0xfeedface)
		fail("magic %x", magic);
	if (readonly[1] != 2)
		fail("data %d", readonly[1]);
	code = answer();
	if (code != 41)
		fail("answer %d", code);
}

static void
stopstart(void)
{
	int pid, before, after;
	uint word = 1;

	pid = child(c_count);
	sleep(5 * PERIOD);
	ctl(pid, "stop");
	get(pid, "status");
	has("Stopped", "status");
	memory(pid, (uint)&count, &before, 4, 0);
	sleep(5 * PERIOD);
	memory(pid, (uint)&count, &after, 4, 0);
	if (before == 0 || before != after)
		fail("counted from %d to %d while stopped", before, after);
	ctl(pid, "stop"); /* it is */
	ctl(pid, "waitstop");
	ctl(pid, "start");
	refused(pid, "ctl", "start", "bad process or channel control request");
	sleep(5 * PERIOD);
	memory(pid, (uint)&count, &after, 4, 0);
	if (after <= before)
		fail("does not count after start");
	ctl(pid, "stop");
	memory(pid, (uint)&stopit, &word, 4, 1);
	ctl(pid, "start");
	ends(pid, "");
}

/* data, text and bss of a stopped process can be written; the text becomes its own */
static void
mem(void)
{
	int pid, fd, i;
	uchar insn[16];
	uint word = 0;

	pid = child(c_count);
	sleep(5 * PERIOD);
	fd = procopen(pid, "mem", ORDWR);
	if (fd < 0)
		syserr("mem");
	if (pwrite(fd, &word, 4, (uint)&magic) != -1)
		fail("wrote memory of a running process");
	ctl(pid, "stop");
	if (pread(fd, &word, 4, (uint)&magic) != 4 || word != 0xfeedface)
		fail("magic reads as %x", word);
	if (pread(fd, &word, 4, 0x10) != -1)
		fail("read page zero");
	rerrstr(err, sizeof err);
	if (strcmp(err, "bad arg in system call") != 0)
		fail("page zero: %s", err);
	/* as much as there is of the page */
	i = pread(fd, buf, sizeof buf, ((uint)&magic & ~(PG - 1)) + PG - 16);
	if (i != 16)
		fail("%d bytes up to the end of a page", i);
	/* movl $41 becomes movl $42, wherever in answer() it is */
	if (pread(fd, insn, sizeof insn, (uint)answer) != (int)sizeof insn)
		syserr("text");
	for (i = 0; i < (int)sizeof insn && insn[i] != 41; i++)
		;
	word = 42;
	if (i == sizeof insn || pwrite(fd, &word, 1, (uint)answer + i) != 1)
		fail("cannot change the text");
	get(pid, "segment");
	if (contains(buf, "Text"))
		fail("the text that was written is still shared: %s", buf);
	word = 1;
	if (pwrite(fd, &word, 4, (uint)&stopit) != 4)
		syserr("stopit");
	close(fd);
	ctl(pid, "start");
	ends(pid, "answer 42");
	if (answer() != 41)
		fail("our own text changed");
}

static void
c_spin(void)
{
	volatile int i;

	for (i = 0; !stopit; i++)
		;
	exits(tos->pid == 0 ? nil : "still here");
}

static void
landed(void)
{
	exits("landed");
}

static void
regs(void)
{
	static ulong stack[256];
	Ureg u, v;
	int pid, fd;

	pid = child(c_spin);
	sleep(100);
	ctl(pid, "stop");
	registers(pid, &u, 0);
	if (u.trap != 32 || u.cs != 0x23 || u.ss != 0x1b)
		fail("trap %d cs %x ss %x", u.trap, u.cs, u.ss);
	if (u.pc < (uint)c_spin || u.pc > (uint)c_spin + 256)
		fail("pc %x", u.pc);
	u.ax = 0x12345678;
	u.pc = (uint)landed;
	u.sp = (uint)&stack[250];
	u.flags = 0xffffffff & ~0x100;
	registers(pid, &u, 1);
	registers(pid, &v, 0);
	if (v.ax != 0x12345678 || v.pc != (uint)landed || (v.flags & 0x23000) != 0)
		fail("ax %x pc %x flags %x", v.ax, v.pc, v.flags);
	fd = procopen(pid, "fpregs", OREAD);
	if (fd < 0 || read(fd, buf, sizeof buf) != 528)
		fail("fpregs");
	close(fd);
	fd = procopen(pid, "kregs", OREAD);
	if (fd < 0 || read(fd, buf, sizeof buf) != sizeof u)
		fail("kregs");
	close(fd);
	fd = procopen(pid, "proc", OREAD);
	if (fd < 0 || read(fd, buf, sizeof buf) < 1024)
		fail("proc");
	close(fd);
	ctl(pid, "start");
	ends(pid, "landed");
}

static void
c_write(void)
{
	sleep(50);
	write(9, "x y", 3);
	sleep(1);
}

/* system call by system call: before it is made, and after */
static void
syscalls(void)
{
	char want[64];
	int pid;

	pid = child(c_write);
	ctl(pid, "stop");
	ctl(pid, "startsyscall");
	get(pid, "syscall");
	snprint(want, sizeof want, "%d procfs Pwrite ", pid);
	has(want, "syscall");
	has("9  ", "syscall");
	has("/\"x.y\" 3 -1", "syscall");
	ctl(pid, "startsyscall");
	get(pid, "syscall");
	has(" = -1 fd out of range or not open ", "syscall");
	ctl(pid, "startsyscall");
	get(pid, "syscall");
	has("Sleep ", "syscall");
	ctl(pid, "startsyscall");
	get(pid, "syscall");
	has(" = 0 \"\" ", "syscall");
	ctl(pid, "start");
	ends(pid, "");
}

static void
handler(Ureg *u, char *text)
{
	(void)u;
	if (strcmp(text, "trap me") == 0)
		count = 1000;
	noted(NCONT);
}

static void
c_handler(void)
{
	notify(handler);
	while (count < 1000)
		sleep(PERIOD);
}

/* startstop stops for a note, before it is delivered; it can be read, which takes it */
static void
notes(void)
{
	int pid, helper;

	pid = child(c_handler);
	sleep(3 * PERIOD);
	ctl(pid, "stop");
	helper = rfork(RFPROC);
	if (helper == 0) {
		sleep(5 * PERIOD);
		exits(procwrite(pid, "note", "not this one") < 0 ? "note" : nil);
	}
	ctl(pid, "startstop");
	ends(helper, "");
	get(pid, "note");
	if (strcmp(buf, "not this one") != 0)
		fail("note %s", buf);
	get(pid, "note");
	if (buf[0])
		fail("a note is left: %s", buf);
	if (procwrite(pid, "note", "trap me") < 0)
		syserr("note");
	refused(pid, "ctl", "nointerrupt", "notes pending");
	ctl(pid, "start");
	ends(pid, "");
}

static void
c_exec(void)
{
	char *argv[] = {"echo", "it's", "two words", nil};

	sleep(50);
	dup(open("/dev/null", OWRITE), 1);
	exec("/bin/echo", argv);
	syserr("exec");
}

static void
hang(void)
{
	char path[64];
	int pid, fd;

	pid = child(c_exec);
	ctl(pid, "hang");
	ctl(pid, "waitstop");
	get(pid, "status");
	if (strncmp(buf, "echo ", 5) != 0)
		fail("status %s", buf);
	get(pid, "args");
	if (strcmp(buf, "echo 'it''s' 'two words'") != 0)
		fail("args %s", buf);
	fd = procopen(pid, "text", OREAD);
	if (fd < 0 || read(fd, buf, 4) != 4 || memcmp(buf, "\0\0\1\353", 4) != 0)
		fail("text");
	if (fd2path(fd, path, sizeof path) < 0 || strcmp(path, "/bin/echo") != 0)
		fail("the text is %s", path);
	close(fd);
	if (procwrite(pid, "args", "other") < 0)
		syserr("args");
	get(pid, "args");
	if (strcmp(buf, "echo [other]") != 0)
		fail("args %s", buf);
	ctl(pid, "nohang");
	ctl(pid, "start");
	ends(pid, "");
}

static void
c_sleep(void)
{
	sleep(3000); /* one that is stopped sleeps on to the end first */
}

static void
c_fault(void)
{
	int fd = open("/dev/null", OWRITE);

	dup(fd, 2);
	WORD(0x10) = 1;
}

static void
c_two(void)
{
	if (rfork(RFPROC) == 0)
		exits("the younger");
	sleep(3000);
}

static void
kill(void)
{
	int pid, fd;
	uint word;

	pid = child(c_sleep);
	sleep(10);
	ctl(pid, "kill");
	ends(pid, "Killed");
	pid = child(c_sleep);
	ctl(pid, "stop");
	ctl(pid, "kill");
	ends(pid, "sys: killed pc=0x"); /* it has gone past the order, to the note */

	/* a broken process keeps its memory until it is killed */
	pid = child(c_fault);
	ends(pid, "sys: trap: fault write addr=0x10 pc=0x");
	get(pid, "status");
	has("Broken", "status");
	memory(pid, (uint)&magic, &word, 4, 0);
	if (word != 0xfeedface)
		fail("memory of a broken process: %x", word);
	fd = procopen(pid, "status", OREAD);
	ctl(pid, "kill");
	sleep(10);
	if (read(fd, buf, 10) != -1)
		fail("status of a process that is gone");
	rerrstr(err, sizeof err);
	if (strcmp(err, "process exited") != 0)
		fail("status: %s", err);
	close(fd);
	if (procopen(pid, "status", OREAD) >= 0)
		fail("the directory of a process that is gone");

	/* another's wait records */
	pid = child(c_two);
	fd = procopen(pid, "wait", OREAD);
	word = read(fd, buf, sizeof buf - 1);
	if ((int)word <= 0)
		syserr("wait");
	buf[word] = 0;
	has(": the younger'", "wait");
	close(fd);
	ctl(pid, "kill");
	ends(pid, "Killed");
}

static void
texts(void)
{
	char want[64];
	int pid, fd, n;

	pid = child(c_sleep);
	sleep(10);
	get(pid, "status");
	if (strlen(buf) != 176 || strncmp(buf, "procfs ", 7) != 0)
		fail("status of %d bytes: %s", strlen(buf), buf);
	has(" eve ", "status");
	has(" Sleep ", "status");
	get(pid, "ppid");
	snprint(want, sizeof want, "%11d ", tos->pid);
	if (strcmp(buf, want) != 0)
		fail("ppid %s", buf);
	get(pid, "segment");
	has("Stack     defff000 dffff000    1\n", "segment");
	has("Text   R      1000 ", "segment");
	get(pid, "ns");
	has("bind  #c /dev\n", "ns");
	has("bind -c #e /env\n", "ns");
	has("cd /\n", "ns");
	fd = open("/env/x", ORDWR | OTRUNC);
	if (fd < 0)
		fd = create("/env/x", ORDWR, 0666);
	close(fd);
	get(tos->pid, "fd");
	has("/\n  0 r  c ", "fd");
	has("#c/cons\n", "fd");

	/* read in parts, the lines join up */
	fd = procopen(tos->pid, "fd", OREAD);
	n = readn(fd, buf + 4096, 4000);
	buf[4096 + n] = 0;
	if (pread(fd, buf, 10, 0) != 9 || memcmp(buf, buf + 4096, 9) != 0) /* a NUL has the last byte */
		fail("the first ten bytes of fd");
	close(fd);

	ctl(pid, "close 0");
	get(pid, "fd");
	if (contains(buf, "  0 r"))
		fail("closed, and there: %s", buf);
	ctl(pid, "closefiles");
	get(pid, "fd");
	if (strcmp(buf, "/\n") != 0)
		fail("all closed, and there: %s", buf);

	ctl(pid, "pri 3");
	get(pid, "status");
	has("          3 ", "status");
	ctl(pid, "fixedpri 9");
	ctl(pid, "wired 0");
	ctl(pid, "noswap");
	ctl(pid, "trace 1");
	refused(pid, "ctl", "nonsense now", "unknown control message \"nonsense now\"");
	refused(pid, "ctl", "pri", "wrong #args in control message \"pri\"");
	refused(pid, "ctl", "period 10ms", "unknown control message \"period 10ms\"");
	refused(pid, "ctl", "", "empty control message");
	refused(pid, "noteid", "0", "bad arg in system call");
	ctl(pid, "private");
	if (procopen(pid, "mem", OREAD) >= 0 || procopen(pid, "ctl", OWRITE) >= 0)
		fail("a private process lets itself be debugged");
	if (procwrite(pid, "notepg", "never mind") < 0)
		syserr("notepg");
	ends(pid, "never mind");
	if (procwrite(1, "ctl", "kill") != -1)
		fail("killed the kernel's own process");
}

static void
c_profile(void)
{
	volatile int i;

	while (!stopit)
		for (i = 0; i < 1000; i++)
			;
}

static void
profile(void)
{
	static uint counts[4096];
	uint word = 1, in = 0, all = 0;
	int pid, fd, n, i;

	pid = child(c_profile);
	fd = procopen(pid, "profile", OREAD);
	if (fd < 0 || read(fd, counts, 4) != -1)
		fail("profile is on");
	rerrstr(err, sizeof err);
	if (strcmp(err, "profile is off") != 0)
		fail("profile: %s", err);
	ctl(pid, "profile");
	get(pid, "segment");
	has("Text   RP ", "segment");
	sleep(1000);
	ctl(pid, "stop");
	n = read(fd, counts, sizeof counts) / 4;
	close(fd);
	for (i = 1; i < n; i++) {
		all += counts[i];
		if (UTZERO + 8 * i >= ((uint)c_profile & ~7u) && UTZERO + 8 * i < (uint)c_profile + 256)
			in += counts[i];
	}
	if (all < 60 || in != all || counts[0] != all)
		fail("%d ms counted, %d there, %d in all", all, in, counts[0]);
	memory(pid, (uint)&stopit, &word, 4, 1);
	ctl(pid, "start");
	ends(pid, "");
}

const char *
main(int argc, char *argv[], Tos *t)
{
	(void)argv;
	if (argc != 1)
		usage("procfs");
	tos = t;
	stopstart();
	mem();
	regs();
	syscalls();
	notes();
	hang();
	kill();
	texts();
	profile();
	return nil;
}
