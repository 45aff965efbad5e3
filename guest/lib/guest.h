/* What every guest program is written against: types, system calls, and a small library. */

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned int ulong; /* Plan 9's ulong is 32 bits wide here */
typedef long long vlong;
typedef unsigned long long uvlong;

#define nil ((void *)0)
#define nelem(a) (int)(sizeof(a) / sizeof((a)[0]))
#define NOINLINE __attribute__((noinline))
#define NORETURN __attribute__((noreturn))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
/* n pages of bss, on page boundaries */
#define PAGES(name, n) char name[(n) * PG] __attribute__((aligned(PG), section(".bss.pages")))

enum {
	PG = 4096,     /* bytes in a page */
	ERRMAX = 128,  /* longest error text or exit status, NUL included */
};

#define UTZERO 0x1000u                     /* first address of the text */
#define USTKTOP 0xDFFFF000u                /* first address above the stack */
#define USTKSIZE 0x1000000u                /* the stack's 16 MB */
#define USTKBASE (USTKTOP - USTKSIZE)

/* open, create */
enum { OREAD, OWRITE, ORDWR, OEXEC, OTRUNC = 16, OCEXEC = 32, ORCLOSE = 64, OEXCL = 0x1000 };
#define DMDIR 0x80000000u

/* rfork */
enum {
	RFNAMEG = 1 << 0,
	RFENVG = 1 << 1,
	RFFDG = 1 << 2,
	RFNOTEG = 1 << 3,
	RFPROC = 1 << 4,
	RFMEM = 1 << 5,
	RFNOWAIT = 1 << 6,
	RFCNAMEG = 1 << 10,
	RFCENVG = 1 << 11,
	RFCFDG = 1 << 12,
	RFREND = 1 << 13,
};

/* segattach */
enum { SG_RONLY = 0040, SG_CEXEC = 0100 };

/* Top of the stack: the kernel passes its address in AX and main() gets it as third argument. */
typedef struct Tos Tos;
struct Tos {
	ulong prof[6];    /* prof[4] is the pid too */
	uvlong cyclefreq; /* what RDTSC counts, per second */
	uvlong kcycles;
	uvlong pcycles;
	ulong pid;
	ulong clock;
};

/* System calls (lib/sys.S): -1 is an error, its text is had from errstr(). */
int bind(const char *new, const char *old, int flag);
int chdir(const char *dir);
int close(int fd);
int dup(int old, int new);
int exec(const char *file, char *const argv[]);
NORETURN void exits(const char *status);
int open(const char *file, int mode);
int sleep(int ms);
int rfork(int flags);
int pipe(int fd[2]);
int create(const char *file, int mode, ulong perm);
int fd2path(int fd, char *buf, int n);
int brk_(void *top);
int remove(const char *file);
int segattach(int attr, const char *class, void *va, ulong len);
int segbrk(void *seg, void *top);
int segdetach(void *addr);
int segfree(void *addr, ulong len);
int segflush(void *addr, ulong len);
ulong rendezvous(ulong tag, ulong value);
int semacquire(int *sem, int block);
int semrelease(int *sem, int count);
int tsemacquire(int *sem, ulong ms);
int seek_(vlong *result, int fd, vlong offset, int whence);
int errstr(char *buf, uint n);
int stat(const char *file, uchar *buf, uint n);
int fstat(int fd, uchar *buf, uint n);
int await(char *buf, uint n);
int pread(int fd, void *buf, int n, vlong offset);
int pwrite(int fd, const void *buf, int n, vlong offset);
int syscall(int nr, ...);       /* any call by number */
extern const char syscall_pc[]; /* the pc behind its INT */

/* Notes: a handler is called with the registers and the text, and ends with noted(). */
enum { NCONT, NDFLT, NSAVE, NRSTR };

typedef struct Ureg Ureg;
struct Ureg {
	ulong di, si, bp, nsp, bx, dx, cx, ax;
	ulong gs, fs, es, ds;
	ulong trap, ecode, pc, cs, flags, sp, ss;
};

uint alarm(uint ms);
int notify(void (*handler)(Ureg *, char *));
int noted(int how);

/* Strings and memory (lib/string.c) */
void *memset(void *a, int c, uint n);
void *memcpy(void *a, const void *b, uint n);
void *memmove(void *a, const void *b, uint n);
int memcmp(const void *a, const void *b, uint n);
uint strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, uint n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strcpy(char *a, const char *b);
uvlong udiv64(uvlong n, uint d, uint *rest); /* n / d */

/* Memory (lib/malloc.c): nil, or -1 of sbrk, if there is no more */
void *sbrk(uint n); /* n more bytes behind the bss */
void *malloc(uint n);
void *realloc(void *a, uint n);
void free(void *a);

/* Printing (lib/print.c): %d %u %x %c %s %p %%, with ll, width, 0 and - */
int vsnprint(char *buf, int n, const char *fmt, __builtin_va_list arg);
PRINTF(3, 4) int snprint(char *buf, int n, const char *fmt, ...);
PRINTF(2, 3) int fprint(int fd, const char *fmt, ...);
PRINTF(1, 2) int print(const char *fmt, ...);

/* Helpers (lib/proc.c) */
typedef struct Waitmsg Waitmsg;
struct Waitmsg {
	int pid;
	ulong time[3]; /* user, system, real; ms */
	char msg[ERRMAX];
};

NORETURN PRINTF(1, 2) void fail(const char *fmt, ...); /* exits with a formatted status */
NORETURN void usage(const char *args);                 /* exits "usage: ..." */
void rerrstr(char *buf, uint n);                       /* the last error, left as it is */
NORETURN void syserr(const char *what);                /* exits "what: last error" */
int number(const char *s, int min, int max);           /* a decimal argument, or -1 */
int hexnumber(const char *s, uint *value);             /* a hexadecimal argument; 0 if it is none */
vlong seek(int fd, vlong offset, int whence);
int read(int fd, void *buf, int n);
int write(int fd, const void *buf, int n);
int readn(int fd, void *buf, int n);   /* until n bytes or end of file */
int waitchild(Waitmsg *w);             /* await, taken apart: pid or -1 */
void waitgood(int pid);                /* the next child to end must be pid, with an empty status */
char *program(char *buf, int n, const char *arg0); /* the path to exec for argv[0] */
uvlong cycles(void);                   /* RDTSC */
uvlong nsec(const Tos *tos, uvlong cycles);

/* Other processes (lib/procfs.c) */
int procopen(int pid, const char *file, int mode);            /* open /proc/pid/file, or -1 */
int procwrite(int pid, const char *file, const char *text);   /* write text there; -1 if it cannot be */
int procread(int pid, const char *file, char *buf, int n);    /* all of it, n-1 bytes at most, and a NUL; -1 */
int procstate(int pid, const char *state);                    /* wait until it is in that state; 0 if it never is */

/* one word at a page's start, read or written exactly once */
#define WORD(addr) (*(volatile uint *)(addr))
