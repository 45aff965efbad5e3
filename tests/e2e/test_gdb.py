"""p9emu gdb with a real gdb: what its user types, and sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from guest.cc import compile
from tests.e2e.harness import ROOT
from tests.e2e.realgdb import gdb, inorder
from tests.emu.debug.scripted import symbol

pytestmark = [pytest.mark.gdb, pytest.mark.guest]

ALL = "set detach-on-fork off", "set schedule-multiple on"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs with lines."""
    where = tmp_path_factory.mktemp("made")
    for source in ("guest/examples/deep.c", "guest/src/cow.c", "guest/src/shm.c"):
        out = where / Path(source).stem
        out.write_bytes(compile([ROOT / source]).image)
    return where


def test_a_backtrace_with_lines_and_finish(made: Path) -> None:
    out = gdb(made / "deep", script=("break leaf", "continue", "backtrace", "finish", "next", "delete", "continue"))
    assert inorder(
        out,
        "Breakpoint 1, leaf () at guest/examples/deep.c:8",
        "#0  leaf () at guest/examples/deep.c:8",
        "in middle () at guest/examples/deep.c:16",
        "in middle () at guest/examples/deep.c:14",
        "in main () at guest/examples/deep.c:22",
        "in middle () at guest/examples/deep.c:16",
        "exited normally",
    )


def test_a_child_after_fork_steps_over_a_copy_on_write_fault(made: Path) -> None:
    out = gdb(
        made / "cow",
        "2",
        before=("set follow-fork-mode child", *ALL),
        script=(
            "break cow.c:26",
            "continue",
            "monitor catch fault class=cow-copy",
            "continue",
            "p $pc",
            "x/i $pc",
            "monitor pte 0x3000",
            "monitor catch none",
            "stepi",
            "x/i $pc",
            "delete",
            "continue",
            "inferior 1",
            "continue",
        ),
    )
    assert inorder(
        out,
        'Thread 2.1 "cow" hit Breakpoint 1.2, main () at guest/src/cow.c:26',
        "p9emu: write fault of 3 at 0x00003004, bss: cow-copy, at pc 0x",
        "received signal SIGTRAP",
        "mov    %ecx,(%edx)",
        "0x00003000 is in frame 0x",
        "add    $0x1000,%edx",
        "[Inferior 2 (process 3) exited normally]",
        "[Inferior 1 (process 2) exited normally]",
    )


def test_a_word_that_another_process_writes_through_shared_memory(made: Path) -> None:
    watch = "watch *(int*)&area"
    out = gdb(made / "shm", "2", before=ALL, script=("break share", "continue", watch, "continue", "backtrace"))
    assert inorder(
        out,
        "Hardware watchpoint 2: *(int*)&area",
        "p9emu: 0x00003000 of 2 was written by shm 3, at pc 0x",
        "Old value = 0",
        "New value = 1509949440",
        "in rfork () at guest/lib/sys.S:",
    )


def test_forks_execs_and_registers() -> None:
    out = gdb(
        "exec",
        "/bin/hello",
        script=("catch exec", "continue", "info inferiors", "info registers eip", "p $xmm0.uint128", "p $st0", "kill"),
    )
    assert inorder(out, "Catchpoint 1 (exec'd /bin/hello)", "target:/bin/hello", "<_start>", "$1 = 0", "killed]")


def test_what_gdb_changes_the_program_finds(made: Path) -> None:
    script = (
        "break leaf",
        "continue",
        "set var $ecx = 3",
        "delete",
        "finish",
        "p *((char*)&page+3*4096)",
        "monitor segs",
    )
    out = gdb(made / "deep", script=script)
    assert inorder(out, "= 1 '\\001'", "bss      0x00002000 to 0x00006000, 1 pages in memory")


def test_a_child_that_nobody_looks_at_runs_as_ever(made: Path) -> None:
    out = gdb(made / "cow", "2", script=("break waitgood", "continue", "delete", "continue"))
    assert inorder(out, "[Detaching after fork from child process 3]", "[Inferior 1 (process 2) exited normally]")


def test_back_to_the_write_before(made: Path) -> None:
    watch = "watch *(int*)&area"
    out = gdb(
        made / "shm",
        "2",
        before=ALL,
        script=(
            "break share",
            "continue",
            watch,
            "continue",  # the child's write, seen by its parent
            "delete 1",
            "reverse-continue",
            "p *(int*)&area",
            "backtrace",
            "reverse-continue",  # the parent's, which stores what is there
            "reverse-continue",
            "delete",
            "continue",
        ),
    )
    assert inorder(
        out,
        "Old value = 0",
        "New value = 1509949440",
        "p9emu: 0x00003000 of 2 was written by shm 3, at pc 0x",
        "Old value = 1509949440",
        "New value = 0",
        "$1 = 0",
        "in rfork () at guest/lib/sys.S:",
        "in share () at guest/src/shm.c:21",
        "No more reverse-execution history.",
        "[Inferior 2 (process 3) exited normally]",
    )


def test_back_over_a_copy_on_write_fault(made: Path) -> None:
    pte = "monitor pte 0x4004 3"
    out = gdb(
        made / "cow",
        "2",
        before=("set follow-fork-mode child", *ALL),
        script=(
            "break cow.c:26",
            "continue",
            "monitor catch fault class=cow-copy",
            "continue",
            "continue",
            "monitor catch none",
            pte,
            "stepi",
            "reverse-stepi",
            pte,
            "reverse-stepi",
            "stepi",
            "x/i $pc",
            "reverse-continue",
            "delete",
            "continue",
            "inferior 1",
            "continue",
        ),
    )
    assert inorder(
        out,
        "p9emu: write fault of 3 at 0x00003004, bss: cow-copy, at pc 0x",
        "(held 1 times), in the bss segment",
        "(held 2 times), in the bss segment",
        "mov    %ecx,(%edx)",
        'Thread 2.1 "cow" hit Breakpoint 1.2, main () at guest/src/cow.c:26',
        "[Inferior 2 (process 3) exited normally]",
        "[Inferior 1 (process 2) exited normally]",
    )


def test_back_by_lines_and_functions(made: Path) -> None:
    back = "reverse-finish", "reverse-step", "reverse-next"
    script = ("break leaf", "continue", "delete", *back, "next", "step", "reverse-continue", "continue")
    out = gdb(made / "deep", script=script)
    assert inorder(
        out,
        "Breakpoint 1, leaf () at guest/examples/deep.c:8",
        "in middle () at guest/examples/deep.c:16",
        "No more reverse-execution history.",
        "exited normally",
    )


def test_back_with_the_hosts_time(made: Path) -> None:
    watch = "watch *(int*)&area"
    out = gdb(
        made / "shm",
        "2",
        server=("--clock", "real"),
        before=ALL,
        script=(
            "break share",
            "continue",
            watch,
            "continue",  # the child's write, seen by its parent
            "delete 1",
            "reverse-continue",
            "p *(int*)&area",
            "reverse-stepi",
            "stepi",
            "monitor goto fault 5",
            "reverse-continue",
            "delete",
            "continue",
            "continue",
        ),
    )
    assert inorder(
        out,
        "p9emu: 0x00003000 of 2 was written by shm 3, at pc 0x",
        "New value = 1509949440",
        "New value = 0",
        "$1 = 0",
        "p9emu: at fault 5",
        "[Inferior 2 (process 3) exited normally]",
    )


def test_to_a_time_and_to_an_event(made: Path) -> None:
    event = "monitor goto fault class=cow-copy 2", "continue", "monitor time"
    time = "monitor goto 0.000004", "reverse-continue", "monitor time", "info registers eip"
    out = gdb(made / "cow", "2", script=(*event, *time, "monitor goto 100", *["continue"] * 2))
    assert inorder(
        out,
        "goes to fault class=cow-copy 2 and nowhere else",
        "p9emu: at fault class=cow-copy 2",
        "0.00000",
        "p9emu: at 0.000004",
        "0.00000",
        "eip",
        "[Inferior 1 (process 2) exited normally]",
    )


TWO = """#include "guest.h"

static volatile int n;

static void NOINLINE
work(void)
{
	n++;
}

char *
main(void)
{
	char w[256];

	if (rfork(RFPROC | RFMEM) == 0) {
		sleep(10);
		work();
		exits(nil);
	}
	await(w, sizeof w);
	return nil;
}
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A parent that waits for its child."""
    source = tmp_path_factory.mktemp("two") / "two.c"
    source.write_text(TWO)
    out = source.with_suffix("")
    out.write_bytes(compile([source]).image)
    return out


def test_a_step_over_a_breakpoint_at_a_call_that_waits_for_who_stops_too(two: Path) -> None:
    at = symbol(str(two), "await") + 5  # the INT
    out = gdb(two, before=ALL, script=(f"break *{at}", "break work", "continue", "continue", "continue", "continue"))
    assert inorder(out, 'Thread 1.1 "two" hit Breakpoint 1.1', 'Thread 2.1 "two" hit Breakpoint 2.2', "exited normally")
    assert out.count("hit Breakpoint") == 2
    assert "internal-error" not in out


def test_an_event_is_gone_to_from_a_breakpoint(made: Path) -> None:
    script = ("break main", "continue", "monitor goto fault class=cow-copy,segment=bss 2", "continue", "continue")
    out = gdb(made / "cow", "2", before=ALL, script=script)
    assert "internal-error" not in out
    assert inorder(out, "p9emu: at fault class=cow-copy,segment=bss 2", "exited normally")


def test_an_event_that_never_comes(made: Path) -> None:
    back = "reverse-stepi", "monitor goto fault class=cow-copy 1", "continue", "monitor goto 3000", "continue"
    script = ("monitor goto fault 1000", "continue", "x/i $pc", *back, "x/i $pc", "continue")
    out = gdb(made / "cow", "2", before=ALL, script=script)
    assert "internal-error" not in out
    assert inorder(
        out,
        "p9emu: fault 1000 did not come: this is the end, but for the program's last instruction",
        "in exits () at guest/lib/sys.S:",
        "int    $0x40",
        "p9emu: at fault class=cow-copy 1",
        "p9emu: 3000 did not come",
        "int    $0x40",
        "exited normally",
    )


STUCK = """#include "guest.h"

char *
main(void)
{
	char w[256];
	ulong p = 1;

	if (rfork(RFPROC) == 0) {
		rendezvous(p, 0);
		exits(nil);
	}
	await(w, sizeof w);
	return nil;
}
"""


def test_processes_that_wait_for_each_other_can_be_looked_at_and_gone_back_from(tmp_path: Path) -> None:
    source = tmp_path / "stuck.c"
    source.write_text(STUCK)
    out = source.with_suffix("")
    out.write_bytes(compile([source]).image)
    script = (
        "continue",
        "monitor procs",
        "reverse-stepi",
        "info registers eip",
        "monitor time",
        "continue",
        "continue",
    )
    text = gdb(out, before=ALL, script=script)
    assert inorder(
        text,
        "p9emu: no progress: every process waits for another",
        "SIGABRT",
        "Rendez   parent 2",
        "eip",
        "p9emu: no progress: every process waits for another",
        "SIGABRT",
        "terminated with signal SIGABRT",
    )


def test_an_inferior_that_is_not_there_yet_is_let_go_of_and_comes_again(made: Path) -> None:
    script = (
        "monitor catch syscall exits",
        "continue",
        "reverse-continue",
        "detach inferiors 2",
        "inferior 1",
        "monitor procs",
        "monitor catch none",
        "continue",
    )
    out = gdb(made / "cow", "2", before=ALL, script=script)
    assert inorder(
        out,
        "[New inferior 2 (process 3)]",
        "p9emu: system call exits of cow 3",
        "No more reverse-execution history.",
        "[Inferior 2 (process 3) detached]",
        "*    2 cow          New",
        "[New inferior 3 (process 3)]",
        "[Inferior 3 (process 3) exited normally]",
    )


def test_a_step_back_is_of_the_process_that_stopped_or_was_chosen(two: Path) -> None:
    back = ("reverse-stepi", "p $_inferior")
    script = ("break work", "continue", *back, "thread 1.1", *back)
    out = gdb(two, before=ALL, script=script)
    assert inorder(out, 'Thread 2.1 "two" hit Breakpoint', "= 2", "Switching to thread 1.1", "= 1")


def test_back_and_forth_in_a_program_of_8c() -> None:
    """tests/e2e/eightc/tree is made by 9front's 8a, 8c and 8l of the files beside it, which were in /n/src."""
    out = gdb(
        ROOT / "tests" / "e2e" / "eightc" / "tree",
        script=(
            "watch *(int*)&level",
            "continue",
            "reverse-continue",
            "print *(int*)&level",
            "delete",
            "break leaf if *(int*)($esp+4) == 2",
            "continue",
            "backtrace",
            "finish",
            "reverse-step",
            "delete",
            "continue",
        ),
    )
    assert inorder(
        out,
        "0x00002000 of 2 was written by tree 3",
        "Old value = 0",
        "New value = 7",
        "Old value = 7",
        "New value = 0",
        "$1 = 0",
        "Breakpoint 2, leaf () at /n/src/tree.c:10",
        "in grow () at /n/src/tree.c:21",
        "in grow () at /n/src/tree.c:21",
        "in start () at /n/src/tree.c:29",
        "in _main () at /n/src/sys.s:3",
        "0x00001071 in grow () at /n/src/tree.c:21",
        "leaf () at /n/src/tree.c:13",
        "[Inferior 1 (process 2) exited normally]",
    )
