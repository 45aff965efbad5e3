"""The clock: stops are exact, the same with either hook, and leave no trace in the guest."""

import gc
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any, get_args

import click
import pytest
import unicorn
from unicorn.x86_const import UC_X86_REG_ECX

from emu.cli.commands import cli
from emu.machine import counter
from emu.machine.config import Config, MachineError
from emu.machine.counter import NS_PER_BLOCK, Counter
from emu.machine.lib import lib
from emu.machine.machine import Machine
from emu.machine.regs import Regs
from tests.emu.bare import Bare, Trap

CODE = 0x1000
DATA = 0x8000
NATIVE: tuple[counter.Kind, ...] = ("native", "inline", "call", "hook")
KINDS: tuple[counter.Kind, ...] = ("inline", "call", "hook", "python")

# LOOP: INCL DATA; ADDL $3, BX; JNP 1f; XCHGL BX, DATA+4; 1: LOCK XADDL AX, DATA+8; PUSHL CX; CALL 2f;
# POPL CX; DECL CX; JNE LOOP; INT $64; 2: MOVL $3, CX; MOVL $.., SI; MOVL $.., DI; REP MOVSB; RET
PROGRAM = bytes.fromhex(
    "ff0500800000 83c303 7b06 871d04800000 f00fc10508800000 51 e806000000"
    "59 49 75dd cd40 b903000000 be10800000 bf20800000 f3a4 c3"
)


def machine(kind: counter.Kind = "auto") -> tuple[Bare, Regs]:
    bare = Bare(counter=kind)
    bare.map(DATA)
    bare.load(CODE, PROGRAM)
    regs = bare.regs(CODE, sp=DATA + 0x800)
    regs.cx = 50
    return bare, regs


def state(bare: Bare, regs: Regs) -> tuple[object, ...]:
    pa = bare.memory.walk(bare.pdb, DATA)
    assert pa is not None
    gprs = (regs.ax, regs.bx, regs.cx, regs.dx, regs.si, regs.di, regs.bp, regs.sp, regs.pc, regs.flags)
    return (*gprs, bare.memory.read(pa, 4096))


def whole(kind: counter.Kind) -> tuple[tuple[object, ...], int]:
    bare, regs = machine(kind)
    with bare:
        assert not bare.run(regs)
        assert bare.traps[-1].trapno == 64
        return state(bare, regs), bare.cpu.now()


def test_all_count_alike() -> None:
    assert whole("inline") == whole("call") == whole("hook") == whole("python")


def test_every_stop_is_at_the_same_instruction_whatever_counts() -> None:
    """One block at a time, three machines side by side, and one that runs to the same count in one go."""
    pairs = [machine(kind) for kind in KINDS]
    for n in range(300):
        for bare, regs in pairs:
            assert bare.run(regs, ns=NS_PER_BLOCK)
            assert bare.cpu.now() == (n + 1) * NS_PER_BLOCK
        assert state(*pairs[0]) == state(*pairs[1]) == state(*pairs[2])
        if n % 37 == 0:
            bare, regs = machine()
            assert bare.run(regs, ns=(n + 1) * NS_PER_BLOCK)
            assert state(bare, regs) == state(*pairs[0])
            bare.close()
    for bare, _ in pairs:
        bare.close()


@pytest.mark.parametrize("quantum", [1, 2, 3, 7, 64])
def test_stopping_changes_nothing(quantum: int) -> None:
    expected, ns = whole("native")
    bare, regs = machine()
    with bare:
        while bare.run(regs, ns=quantum * NS_PER_BLOCK):
            assert bare.cpu.current is regs
        assert (state(bare, regs), bare.cpu.now()) == (expected, ns)


def test_time_that_is_up_already_runs_nothing() -> None:
    bare, regs = machine()
    with bare:
        assert bare.run(regs, ns=0)
        assert (regs.pc, bare.cpu.now()) == (CODE, 0)
        bare.cpu.spend(1000)
        assert bare.cpu.run(regs, 500)
        assert (regs.pc, bare.cpu.now()) == (CODE, 1000)


def test_until_is_rounded_up_to_a_block() -> None:
    bare, regs = machine()
    with bare:
        assert bare.run(regs, ns=25)
        assert bare.cpu.now() == 30


def test_time_spent_in_a_trap_comes_off_the_slice() -> None:
    with Bare() as bare:
        bare.load(CODE, b"\x40\xcd\x40\x90\xeb\xfe")

        def policy(b: Bare, trap: Trap) -> Regs | None:
            assert b.cpu.now() == 10
            b.cpu.spend(500)
            assert b.cpu.now() == 510
            return b.cpu.current

        bare.policy = policy
        assert bare.run(bare.regs(CODE), ns=1000)
        assert bare.cpu.now() == 1000


def test_until_set_in_a_trap_takes_effect_at_once() -> None:
    with Bare() as bare:
        bare.load(CODE, b"\x40\xcd\x40\x90\xeb\xfe")

        def policy(b: Bare, trap: Trap) -> Regs | None:
            b.cpu.setuntil(b.cpu.now() + 50)
            return b.cpu.current

        bare.policy = policy
        assert bare.run(bare.regs(CODE), ns=10**9)
        assert bare.cpu.now() == 60


@pytest.mark.parametrize("kind", ["hook", "python"])
def test_a_requested_stop_is_at_a_block_and_uncounted(kind: counter.Kind) -> None:
    bare, regs = machine(kind)
    expected, ns = whole("native")
    with bare:
        bare.cpu.requeststop()
        assert bare.run(regs)
        assert (regs.pc, bare.cpu.now()) == (CODE, 0)
        assert not bare.run(regs)
        assert (state(bare, regs), bare.cpu.now()) == (expected, ns)


def test_a_requested_stop_may_come_when_the_time_is_up() -> None:
    bare, regs = machine("inline")
    with bare:
        bare.cpu.requeststop()
        assert bare.run(regs, ns=30)
        assert bare.cpu.now() == 30
        assert not bare.run(regs)  # and is over with that
        assert (state(bare, regs), bare.cpu.now()) == whole("hook")


@pytest.mark.parametrize("kind", NATIVE)
def test_a_stop_requested_by_another_thread_ends_a_loop(kind: counter.Kind) -> None:
    import threading

    with Bare(counter=kind) as bare:
        bare.load(CODE, b"\xff\x05" + struct.pack("<I", DATA) + b"\x40\xeb\xf7")
        bare.map(DATA)
        regs = bare.regs(CODE)
        for _ in range(20):
            timer = threading.Timer(0.005, bare.cpu.requeststop)
            timer.start()
            assert bare.run(regs, ns=10**8)
            timer.join()
        assert regs.pc == CODE
        assert regs.ax == bare.peek(DATA) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_divert_does_not_disturb_the_count(kind: counter.Kind) -> None:
    with Bare(counter=kind) as bare:
        bare.load(CODE, b"\x40\xe4\x60\x40\xeb\x00\x40\xeb\xfe")
        bare.run(bare.regs(CODE))
        assert bare.traps == [Trap(13, 0, CODE + 1)]
        assert bare.cpu.now() == NS_PER_BLOCK


def test_python_is_chosen_where_the_extension_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "blockcount", lambda: None)
    assert not Counter().native
    for kind in NATIVE:
        with pytest.raises(ImportError, match="not built"):
            Counter(kind)


def test_native_is_chosen_where_it_is_there() -> None:
    assert Counter("hook").native
    assert not Counter("python").native
    code = "from emu.machine.counter import Counter; print(Counter().kind, Counter('native').kind)"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out == "inline inline\n"


def test_the_hook_is_chosen_where_unicorn_keeps_its_own_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "works", lambda _lib, _kind: False)
    assert Counter().kind == Counter("native").kind == "hook"
    for kind in ("inline", "call"):
        with pytest.raises(ImportError, match="does not let its check"):
            Counter(kind)


def test_the_way_that_there_is_not_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "works", lambda _lib, _kind: False)
    with pytest.raises(MachineError, match=r"^--counter call: this Unicorn does not let its check"):
        Machine(Config(counter="call"))


@pytest.mark.parametrize(
    ("what", "name", "value"),
    [
        (lib(), "release", "3.0.0.0"),
        (counter, "PROCESSOR", 0x1C0),
        (counter, "STATEAT", 8),
        (counter, "STATE", 0),
        (counter, "EIP", counter.EIP + 8),
    ],
)
def test_a_call_is_made_where_the_engine_is_another_one(
    monkeypatch: pytest.MonkeyPatch, what: object, name: str, value: object
) -> None:
    monkeypatch.setattr(counter, "works", counter.works.__wrapped__)
    monkeypatch.setattr(what, name, value)
    assert Counter().kind == Counter("native").kind == "call"
    with pytest.raises(ImportError, match="does not let its check"):
        Counter("inline")


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_counted_is_known_after_the_end(kind: counter.Kind) -> None:
    bare, regs = machine(kind)
    with bare:
        bare.run(regs)
        ns = bare.cpu.now()
    assert bare.cpu.now() == ns > 0
    with Bare(counter=kind) as other:
        other.run(machine(kind)[1], ns=20)
    assert bare.cpu.now() == ns


@pytest.mark.parametrize("closed", [True, False])
def test_a_counter_outlives_its_engine_and_counts_for_no_other_at_that_address(closed: bool) -> None:
    """Some stack may name it yet, and another engine come to lie there."""
    bare, regs = machine("inline")
    bare.run(regs)
    counted, ns = bare.cpu.counter, bare.cpu.now()
    engine = counted._words[counter.ENGINE]
    assert engine == bare.cpu._uc.value
    left = counted.blocks[0]
    if closed:
        bare.close()
        assert bare.cpu.now() == ns
    else:
        del bare, regs
        gc.collect()
    assert counted._words[counter.ENGINE] == 0
    assert counted.blocks[0] == left


@pytest.mark.slow
@pytest.mark.parametrize(("level", "works"), [("-O0", "True False"), ("-O2", "True True")])
def test_a_library_that_does_not_find_its_way_back_is_refused(tmp_path: Path, level: str, works: str) -> None:
    """Without optimization the original is called, not jumped to, and cannot tell in which block it is.

    A block that counts down by itself is left by its own exit, which knows.
    """
    library = str(tmp_path / "_blockcount.so")
    source = Path(counter.__file__).with_name("_blockcount.c")
    flags = [level, "-shared", "-fPIC", "-fno-sanitize=undefined", "-I", sysconfig.get_path("include")]
    subprocess.run([sys.executable, "-m", "ziglang", "cc", *flags, "-o", library, str(source)], check=True)
    code = (
        "import importlib.util as u, sys, emu.machine\n"
        f"spec = u.spec_from_file_location('emu.machine._blockcount', {library!r})\n"
        "sys.modules[spec.name] = m = u.module_from_spec(spec)\n"
        "spec.loader.exec_module(m)\n"
        "from emu.machine.counter import works\n"
        "from emu.machine.lib import blockcount, lib\n"
        "print(*(works(lib(), way) for way in ('inline', 'call')), blockcount().__file__)"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out == f"{works} {library}\n"


def test_an_engine_that_is_not_ours_counts_nothing_and_stops_as_ever() -> None:
    """In one process with a Cpu, and inside one of its traps."""
    binding: Any = unicorn
    uc = binding.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    uc.mem_map(0, 4096)
    uc.mem_write(16, b"\x41\xeb\xfd")  # inc ecx; jmp to it
    seen = []

    def stop(uc: Any, _address: int, _size: int, _data: object) -> None:
        seen.append(uc.reg_read(UC_X86_REG_ECX))
        if len(seen) % 5 == 0:
            uc.emu_stop()

    uc.hook_add(unicorn.UC_HOOK_BLOCK, stop)
    with Bare() as bare:
        bare.load(CODE, b"\x40\xcd\x40\x90\xeb\xfe")

        def policy(b: Bare, trap: Trap) -> Regs | None:
            uc.emu_start(16, 0)
            assert b.cpu.now() == 10
            return b.cpu.current

        bare.policy = policy
        assert bare.run(bare.regs(CODE), ns=1000)
        assert bare.cpu.now() == 1000
    uc.emu_start(16, 0)
    assert seen == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8]


def test_the_bare_unicorn_of_the_benchmarks_is_as_it_comes() -> None:
    code = "import emu.bench.bare; from emu.machine import counter, lib; print(counter.works(lib.lib(), 'call'))"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out == "False\n"


def test_the_command_offers_all_of_them() -> None:
    (option,) = (p for p in cli.commands["run"].params if p.name == "counter")
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == get_args(counter.Kind)
