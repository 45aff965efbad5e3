"""emu.program.stack: call stacks of programs whose tables tell frames; what is damaged ends them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from emu.observe.folded import Folded
from emu.observe.text import TextWriter
from emu.program.lines import Place
from emu.program.stack import DEEPEST, unwind
from emu.program.symbols import Frame
from guest import cc
from kernel.base.event import FaultEvent, ProcEvent
from kernel.base.mem import USTKTOP
from tests.e2e.harness import p9emu
from tests.emu.observe.test_observe import Lines
from tests.emu.program.test_lines import TEXT, program

SP = USTKTOP - 64
F, G, H = TEXT, TEXT + 8, TEXT + 16  # frames of 8, 0 and unknown
SYMS = [(F, "T", b"f\0"), (12, "m", b".frame\0"), (G, "T", b"g\0"), (4, "m", b".frame\0"), (H, "T", b"h\0")]
DEEP = Path(__file__).parents[3] / "guest/examples/deep.c"


def stack(tmp_path: Path, pc: int, *words: int, sp: int = SP) -> list[int]:
    """The stack of a process at pc whose stack's words these are, from SP on."""
    memory = struct.pack(f"<{len(words)}I", *words)
    return unwind(program(tmp_path, SYMS), pc, sp, lambda addr, n: memory[addr - sp : addr - sp + n])


def test_return_addresses_are_found_behind_the_frames(tmp_path: Path) -> None:
    assert stack(tmp_path, F + 2, 1, 2, G + 3, H + 1, 9) == [F + 2, G + 3, H + 1]


def test_a_function_has_no_frame_at_its_first_instruction(tmp_path: Path) -> None:
    assert stack(tmp_path, F, F + 5, 1, 2, H + 4) == [F, F + 5, H + 4]


def test_a_call_may_be_a_functions_last_instruction(tmp_path: Path) -> None:
    """The return address is the next function's first then."""
    assert stack(tmp_path, F, G, 1, 2, H + 4) == [F, G, H + 4]


@pytest.mark.parametrize("word", [0, TEXT, TEXT - 1, TEXT + 1000, 0xFFFFFFFF])
def test_no_return_address_ends_the_stack(tmp_path: Path, word: int) -> None:
    assert stack(tmp_path, G + 1, word, G + 1) == [G + 1]


def test_the_end_of_memory_ends_the_stack(tmp_path: Path) -> None:
    assert stack(tmp_path, F + 1, 1, 2) == [F + 1]
    assert stack(tmp_path, F + 1, 1, 2, G + 1, sp=USTKTOP - 8) == [F + 1]
    assert stack(tmp_path, F + 1, 1, 2, G + 1, sp=0xFFFFFFFC) == [F + 1]


def test_a_stack_without_end_is_cut(tmp_path: Path) -> None:
    sp = USTKTOP - 4096
    assert stack(tmp_path, G + 1, *[G + 2] * 1000, sp=sp) == [G + 1, *[G + 2] * (DEEPEST - 1)]


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("deep") / "deep"
    path.write_bytes(cc.compile(["deep.c"], cwd=DEEP.parent).image)
    return path


def test_faults_of_a_compiled_program(deep: Path) -> None:
    r = p9emu("trace", "-k", "-e", "fault", "--format", "json", str(deep))
    assert r.returncode == 0
    faults = [json.loads(line) for line in r.stderr.splitlines()]
    stacks = [[f["symbol"].partition("+")[0] for f in e["stack"]] for e in faults if e["segment"] == "bss"]
    assert stacks == [
        ["leaf", "middle", "middle", "main", "_start"],
        ["leaf", "middle", "main", "_start"],
    ]
    last = next(e["stack"] for e in reversed(faults) if e["segment"] == "bss")
    assert [(f["file"], f["line"]) for f in last[:3]] == [("deep.c", 8), ("deep.c", 16), ("deep.c", 22)]
    assert faults[0]["stack"] == [], "exec, before there is a program"


def test_system_calls_have_stacks_in_text(deep: Path) -> None:
    r = p9emu("trace", "-k", "-e", "syscall,proc", str(deep))
    lines = r.stderr.decode().splitlines()
    assert [line.split()[1].partition("+")[0] for line in lines if line.startswith(" > ")] == ["exits", "_start"]


def test_a_program_without_tables_has_one_function_of_its_stack() -> None:
    r = p9emu("trace", "-k", "-e", "fault", "cow", "1")
    assert b"\n > main+0x90 [0x000010d0]\n" in r.stderr
    assert r.stderr.count(b"\n > ") <= r.stderr.count(b" fault ")


def test_folded(deep: Path) -> None:
    r = p9emu("trace", "--format", "folded", str(deep))
    counts = dict(line.rsplit(" ", 1) for line in r.stderr.decode().splitlines())
    assert counts["deep;_start;main;middle;leaf;zero-fill"] == "1"
    assert counts["deep;_start;main;middle;middle;leaf;zero-fill"] == "1"
    total = json.loads(p9emu("trace", "-c", "--format", "json", str(deep)).stderr)["events"]["fault"]
    assert sum(map(int, counts.values())) == total


@pytest.mark.parametrize("option", ["-c", "-k"])
def test_folded_goes_alone(option: str) -> None:
    r = p9emu("trace", "--format", "folded", option, "true")
    assert (r.returncode, r.stderr.count(b"\n")) == (2, 1)


class Out:
    """Keeps lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> None:
        self.lines.append(text)

    def close(self) -> None:
        pass


def test_faults_of_the_first_exec_have_the_name_that_the_process_gets() -> None:
    out = Out()
    folded = Folded(out, lambda pid: [])
    for pid, name in ((2, "a"), (2, "b"), (9, "")):
        folded(FaultEvent(1, pid, 0, 0, 0, "kernel", "sysexec", 4, "write", "", "zero-fill", "", 0))
        if name:
            folded(ProcEvent(1, pid, 0, "exec", name, 0, ""))
    folded.finish()
    assert out.lines == ["?;[kernel sysexec];zero-fill 1\n", "a;[kernel sysexec];zero-fill 2\n"]


def test_folded_names_are_kept_apart() -> None:
    """A semicolon would end a name, a control character the line."""
    out = Out()
    folded = Folded(out, lambda pid: [Frame(0x1030, "a;b\n+0x3", None), Frame(0x2000, "", None)])
    folded(ProcEvent(1, 2, 0, "fork", "x", 3, ""))
    for _ in range(2):
        folded(FaultEvent(1, 3, 0, 0, 0x1030, "kernel", "kexit", 4, "read", "", "remap", "", 0))
    folded.finish()
    assert out.lines == ["x;0x00002000;a:b\\n;[kernel kexit];remap 2\n"]


def test_a_frame_in_text() -> None:
    frame = TextWriter(Lines()).frame
    assert frame(Frame(0x1030, "f+0x3", Place("a.c", 7))) == "f+0x3 a.c:7 [0x00001030]"
    assert frame(Frame(0x1030, "", None)) == "? [0x00001030]"
