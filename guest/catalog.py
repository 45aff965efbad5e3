"""The bundled guest programs: one row each."""

from typing import Final, NamedTuple


class Guest(NamedTuple):
    """A bundled program. ``synopsis`` is its command line, ``description`` one line of what it does."""

    name: str
    synopsis: str
    description: str


CATALOG: Final[tuple[Guest, ...]] = (
    Guest("hello", "hello", "print one line"),
    Guest("true", "true", "succeed"),
    Guest("false", "false [MSG]", "fail with status MSG"),
    Guest("echo", "echo [-n] ARGS", "print the arguments"),
    Guest("pwd", "pwd", "print the name of the current directory"),
    Guest("cat", "cat [FILE...]", "copy files, or standard input, to standard output"),
    Guest("tinyrc", "tinyrc [-iIl] [-c CMDS | FILE [ARGS]]", "a shell, as small as can be, for trees without rc"),
    Guest("wc", "wc [FILE]", "count lines, words and bytes"),
    Guest("touch", "touch N", "write N pages of bss once: zero-fill faults"),
    Guest("read", "read N", "read N pages of data: demand loading (N up to 256)"),
    Guest("cow", "cow N", "dirty N pages and fork; the child writes them all: copy on write"),
    Guest("forkbomb", "forkbomb N", "N children at once, all awaited"),
    Guest("stack", "stack N", "go N pages down the stack"),
    Guest("brk", "brk N", "grow the bss by N pages, shrink it, grow it again: zero each time"),
    Guest("shm", "shm N", "share N pages by rfork(RFMEM) and by a shared segment; the stack stays private"),
    Guest("segs", "segs", "attach, detach, free, flush and grow segments; overlaps are refused"),
    Guest("text", "text N", "run N pages of code, exec itself, run them again: image cache (N up to 256)"),
    Guest("exec", "exec PROG ARGS", "become PROG"),
    Guest("rotext", "rotext", "write into the text: dies of a protection fault"),
    Guest("nil", "nil", "read address 0: dies of a page fault"),
    Guest("wild", "wild [-w] ADDR", "read (-w: write) the hexadecimal address ADDR: dies if it may not"),
    Guest("div0", "div0", "divide by zero: dies of it"),
    Guest("badop", "badop", "execute an invalid instruction: dies of it"),
    Guest("spin", "spin MS", "keep the processor busy for MS virtual milliseconds"),
    Guest("blocks", "blocks K N", "run N blocks of K instructions, 4 or 16, that touch no memory"),
    Guest("pingpong", "pingpong N", "two processes exchange values N times by rendezvous"),
    Guest("sema", "sema N", "four processes take turns N times by semaphore"),
    Guest("pipe", "pipe N", "send N messages through a pipe and have each answered"),
    Guest(
        "tcpecho",
        "tcpecho N [CLIENTS]",
        "N messages and their echo by tcp; or serve one call, and be PROG",
    ),
    Guest("stream", "stream tcp|pipe SIZE N", "N writes of SIZE bytes to another process; the sums must be the same"),
    Guest("udpecho", "udpecho N", "N datagrams and their echo by udp, with headers"),
    Guest(
        "dial",
        "dial [-v] ADDR",
        "call ADDR, send standard input, copy what comes to standard output; -m ADDR PROG mounts who answers, is PROG",
    ),
    Guest("selfmod", "selfmod", "change code in memory in every way there is: the newest must run"),
    Guest("sieve", "sieve N [TIMES]", "count the primes up to N"),
    Guest("syscalls", "syscalls N", "make N null system calls"),
    Guest("notes", "notes", "be sent notes of every kind and handle them, or die of them as one should"),
    Guest("interrupt", "interrupt [spin|group|ignore|read]", "notes end every call that waits; or wait for Ctrl-C"),
    Guest("alarm", "alarm", "alarms come when they were asked for, to who asked"),
    Guest("group", "group", "note groups: who is told, and who is not"),
    Guest("fp", "fp [note]", "floating point state over switches, forks, notes and exec; exceptions; in note handlers"),
    Guest("procfs", "procfs", "read and control a child through /proc"),
    Guest(
        "cons",
        "cons HOW [ARGS]",
        "read the console in company, or raw; use much N times; run PROG where memory is short",
    ),
    Guest("mhead", "mhead [N]", "walk, N times, where another process mounts and unmounts: a race of the original"),
    Guest("edges", "edges WHAT", "compute at the edges of segments: free, flush, addr, around, past, round, text"),
    Guest("killbig", "killbig shared|broken [N]", "memory runs out: what goes, and what another process loses by it"),
    Guest("stopstart", "stopstart [N]", "stop a child and start it again, N times"),
    Guest("stopwait", "stopwait [N]", "interrupt who waits, N times, for a process to stop, while that one ends"),
    Guest("sparse", "sparse N", "write and check one page in each of N megabytes: page tables of one page"),
    Guest("memrace", "memrace shrink|text|slot [N]", "use the memory of a process that gives it up meanwhile"),
    Guest("tprof", "tprof [CPU]", "profile a child that is wired to a processor: is its time counted?"),
    Guest("wired", "wired [N]", "processes wired to processors wake each other N times: where do they run?"),
    Guest("unionbind", "unionbind [N]", "bind a union, N times, while another process makes and undoes it"),
    Guest("pipeflow", "pipeflow [CLIENTS [N]]", "clients send large requests through a pipe and have them answered"),
    Guest("usertests", "usertests [-l | NAME...]", "run all quick checks, or some; -l lists them"),
    Guest("thrash", "thrash [N [ROUNDS]]", "write and check N pages, more than memory, ROUNDS times: swap"),
    Guest("pressure", "pressure [N [PROCS [ROUNDS]]]", "PROCS processes of N pages each page each other out"),
    Guest("textpressure", "textpressure [N [ROUNDS]]", "large programs in turn: cached text dropped and loaded again"),
    Guest("swapfork", "swapfork [N]", "dirty N pages, some on swap, and fork twice: shared swap slots"),
    Guest("swapfull", "swapfull [N]", "memory and swap run out: the biggest process is killed, the others go on"),
    Guest("devswap", "devswap [FILE [N]]", "read /dev/swap, make FILE the swap device"),
    Guest("agewalk", "agewalk [N [HOT]]", "cold pages go to swap, hot ones stay"),
    Guest("shootdown", "shootdown [N]", "free a page that another process, on another processor, keeps reading"),
    Guest("fs9p", "fs9p [CLIENTS]", "a 9P file server of our own, mounted by other processes; it dies, and none hangs"),
    Guest("cachefs", "cachefs [N]", "read through a mount's cache twice; new versions; N pages of pressure meanwhile"),
    Guest("ns", "ns [9p]", "bind, unions, mount, unmount, name spaces shared, copied and empty"),
    Guest("dirs", "dirs [-9] [DIR]", "directory reads that survive changes, in pieces of any size"),
    Guest("fuzz", "fuzz SEED [N [PROCS [net]]]", "PROCS processes make N random calls each, by SEED; in /net alone"),
)
