"""The interrupt hook, in C and in Python: both do the same, and neither keeps what it must not."""

import ctypes
import gc
import sys
import weakref
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_int, c_uint32, c_void_p, cast
from typing import Any, Final

import pytest

from emu.machine import counter, x86
from emu.machine._traphook import Hook
from emu.machine.regs import Regs
from emu.machine.traphook import PythonHook
from tests.emu.bare import Bare, Trap

CODE: Final = 0x1000
DATA: Final = 0x8000
KINDS: Final[dict[counter.Kind, type]] = {"auto": Hook, "python": PythonHook}

# INCL AX; INT $64; MOVL AX, DATA; INT3; INT $13; UD2; JMP to the start
PROGRAM: Final = bytes.fromhex("40 cd40 a300800000 cc cd0d 0f0b eb f1")

both = pytest.mark.parametrize("kind", KINDS)


def bare(kind: counter.Kind, program: bytes = PROGRAM) -> Bare:
    b = Bare(counter=kind)
    b.load(CODE, program)
    assert type(b.cpu.hook) is KINDS[kind]
    return b


def traps(kind: counter.Kind) -> tuple[list[Trap], int, int]:
    with bare(kind) as b:

        def policy(b: Bare, trap: Trap) -> Regs | None:
            regs = b.cpu.current
            if trap.trapno == x86.PAGEFAULT:
                b.map(DATA)
            elif trap.trapno == x86.PROTECTION:
                regs.pc += 2
            elif trap.trapno == x86.UNDEFINED:
                regs.pc += 2
                return None if regs.ax == 3 else regs
            return regs

        b.policy = policy
        assert not b.run(b.regs(CODE))
        return b.traps, b.cpu.now(), b.peek(DATA)


def test_both_serve_the_same_traps() -> None:
    numbers = [x86.SYSCALL, x86.BREAKPOINT, x86.PROTECTION, x86.UNDEFINED]
    got = traps("auto")
    assert [t.trapno for t in got[0]] == [numbers[0], x86.PAGEFAULT, *numbers[1:], *numbers, *numbers]
    assert got[2] == 3
    assert traps("python") == got


@both
def test_the_hook_goes_on_with_what_the_service_returns_in_its_address_space(kind: counter.Kind) -> None:
    """Two threads of control take turns at each system call, with page directories of their own."""
    with bare(kind, b"\xa1" + DATA.to_bytes(4, "little") + b"\xcd\x40\xeb\xf7") as b:  # MOVL DATA, AX; INT; JMP
        spaces = [b.pdb, b.space()]
        b.load(CODE, b"\xa1" + DATA.to_bytes(4, "little") + b"\xcd\x40\xeb\xf7")
        b.load(DATA, b"\x02")
        b.pdb = spaces[0]
        b.load(DATA, b"\x01")
        threads = [b.regs(CODE), b.regs(CODE)]
        seen = []

        def policy(b: Bare, _trap: Trap) -> Regs | None:
            now = threads.index(b.cpu.current)
            seen.append((now, b.cpu.current.ax))
            b.cpu.putcr3(spaces[1 - now])
            return threads[1 - now] if len(seen) < 6 else None

        b.policy = policy
        assert not b.run(threads[0])
        assert seen == [(0, 1), (1, 2)] * 3


@both
@pytest.mark.parametrize("what", [KeyboardInterrupt, SystemExit, ValueError])
def test_what_the_service_raises_run_raises(kind: counter.Kind, what: type[BaseException]) -> None:
    with bare(kind) as b:
        error = what("as it is")

        def policy(_b: Bare, _trap: Trap) -> Regs | None:
            raise error

        b.policy = policy
        with pytest.raises(what) as caught:
            b.run(b.regs(CODE))
        assert caught.value is error
        assert [entry.name for entry in caught.traceback][-1] == "policy"
        assert error.__context__ is None
        b.policy = lambda _b, _trap: None
        assert not b.run(b.cpu.current)  # nothing is left of it


@both
def test_an_exception_is_not_forgotten_when_emulation_ends_for_another_reason_too(kind: counter.Kind) -> None:
    """Of another hook, before the system call that ends emulation."""
    with bare(kind) as b:

        def policy(b: Bare, _trap: Trap) -> Regs | None:
            b.cpu.ended(ValueError("first"))
            return None

        b.policy = policy
        with pytest.raises(ValueError, match="first"):
            b.run(b.regs(CODE))
        b.policy = lambda b, trap: b.cpu.current if trap.trapno == x86.SYSCALL else None
        assert not b.run(b.regs(CODE))
        assert [t.trapno for t in b.traps] == [x86.SYSCALL, x86.SYSCALL, x86.PAGEFAULT]


@both
def test_what_is_no_regs_is_told(kind: counter.Kind) -> None:
    with bare(kind) as b:
        b.policy = lambda _b, _trap: "nothing to run"  # type: ignore[return-value,assignment]
        with pytest.raises(AttributeError):
            b.run(b.regs(CODE))


def test_a_regs_whose_state_is_elsewhere_is_told() -> None:
    class Odd:
        buf = b"not to be written"

    with bare("auto") as b, pytest.raises(TypeError, match="bytearray"):
        b.cpu.hook.current = Odd()  # type: ignore[assignment]


@both
def test_before_there_is_anything_to_run(kind: counter.Kind) -> None:
    with bare(kind) as b, pytest.raises(AttributeError):
        _ = b.cpu.current


@both
def test_nothing_to_go_on_with_is_told(kind: counter.Kind) -> None:
    with bare(kind) as b, pytest.raises(AttributeError):
        b.cpu.hook.resume(None)  # type: ignore[arg-type]


@both
def test_no_reference_is_kept(kind: counter.Kind) -> None:
    with bare(kind, b"\xcd\x40\xeb\xfc") as b:
        threads = [b.regs(CODE), b.regs(CODE)]
        left = 0

        def policy(b: Bare, _trap: Trap) -> Regs | None:
            nonlocal left
            left -= 1
            b.traps.clear()
            return threads[left & 1] if left else None

        b.policy = policy

        def counts(n: int) -> list[int]:
            nonlocal left
            left = n
            b.run(threads[0])
            gc.collect()
            return [sys.getrefcount(o) for o in (*threads, b.cpu.service)]

        counts(10)
        first = counts(10)
        assert counts(1010) == first


@both
def test_a_processor_that_is_dropped_is_collected(kind: counter.Kind) -> None:
    """Closed or not; the hook and its processor hold each other."""

    def used(close: bool) -> Callable[[], object]:
        b = bare(kind)
        b.run(b.regs(CODE))
        b.cpu.memory.detach(b.cpu)
        b.memory.attach(b.cpu)
        if close:
            b.close()
        return weakref.ref(b.cpu)

    refs = [used(True), used(False)]
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


# The one in C by itself, with functions of ours in place of Unicorn's

SIZE: Final = 64
COPY: Final = CFUNCTYPE(c_int, c_void_p, c_void_p)
CALLBACK: Final = CFUNCTYPE(None, c_void_p, c_uint32, c_void_p)


class Fake:
    """A state without a processor."""

    def __init__(self, size: int = SIZE) -> None:
        self.buf = bytearray(size)


class Alone:
    """A hook, what it is given, and what became of it."""

    def __init__(self, save: int = 0, restore: int = 0, **how: Any) -> None:
        self.raised: list[BaseException | None] = []
        self.next: Any = None  # what the service returns
        self.saved: list[int] = []
        self.restored: list[int] = []

        def saves(_uc: int, context: int) -> int:
            self.saved.append(context)
            ctypes.memset(context, 1, SIZE)
            return save

        def restores(_uc: int, context: int) -> int:
            self.restored.append(context)
            return restore

        self.functions = COPY(saves), COPY(restores)
        where = dict(zip(("save", "restore"), (cast(f, c_void_p).value for f in self.functions), strict=True))
        handlers = {"service": self.service, "trapped": self.service, "ended": self.raised.append}
        words = {"uc": 1, "size": SIZE, "isint": 0, "oldexception": 1, "cr3": 2}
        self.hook = Hook(**{**handlers, "flushtlb": lambda: None, **where, **words, **how})

    def service(self, trapno: int, _ecode: int) -> Any:
        return self.next() if callable(self.next) else self.next

    def trap(self) -> None:
        CALLBACK(self.hook.callback)(1, x86.SYSCALL, self.hook.data)


@pytest.mark.parametrize(
    "how",
    [
        {"save": 0},
        {"restore": 0},
        {"isint": -1},
        {"oldexception": SIZE // 4},
        {"cr3": 1 << 40},
        {"size": 8},
        {"size": -SIZE},
    ],
)
def test_a_hook_is_made_whole_or_not_at_all(how: dict[str, int]) -> None:
    given = {"uc": 1, "save": 1, "restore": 1, "size": SIZE, "isint": 0, "oldexception": 1, "cr3": 2, **how}
    service, before = lambda _trapno, _ecode: None, sys.getrefcount(Hook)
    counts = sys.getrefcount(service)
    for _ in range(10):
        with pytest.raises(ValueError, match="state"):
            Hook(service=service, trapped=service, ended=service, flushtlb=service, **given)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            Hook(service)  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            Hook.__new__(Hook)
    assert (sys.getrefcount(service), sys.getrefcount(Hook)) == (counts, before)


def test_a_trap_before_anything_runs_does_nothing() -> None:
    a = Alone()
    a.trap()
    assert (a.saved, a.raised) == ([], [])


@pytest.mark.parametrize("size", [0, SIZE - 4, SIZE + 4])
def test_a_state_of_another_size_is_refused_and_the_old_one_kept(size: int) -> None:
    a = Alone()
    hook: Any = a.hook
    hook.current = fake = Fake()
    with pytest.raises(ValueError, match="as large as a state"):
        hook.current = Fake(size)
    assert hook.current is fake
    a.next = lambda: Fake(size)
    a.trap()
    assert [type(e) for e in a.raised] == [ValueError]


def test_a_state_stays_where_it_is_whatever_becomes_of_its_regs() -> None:
    a = Alone()
    fake = Fake()
    a.hook.current = fake  # type: ignore[assignment]
    with pytest.raises(BufferError):
        fake.buf.append(0)
    kept, fake.buf = fake.buf, bytearray(4)
    a.trap()
    assert bytes(kept[12:]) == b"\1" * (SIZE - 12)
    assert fake.buf == bytes(4)
    a.hook.current = Fake()  # type: ignore[assignment]
    kept.append(0)  # nobody holds it any more


def test_what_unicorn_refuses_is_told() -> None:
    a = Alone(save=3)
    a.hook.current = Fake()  # type: ignore[assignment]
    a.trap()
    assert [str(e) for e in a.raised] == ["uc_context_save: error 3 of Unicorn"]
    a = Alone(restore=4)
    a.next = Fake()
    with pytest.raises(RuntimeError, match="uc_context_restore: error 4"):
        a.hook.resume(a.next)
    a.trap()
    assert [str(e) for e in a.raised] == ["uc_context_restore: error 4 of Unicorn"]


def test_the_hook_may_be_dropped_in_its_own_service() -> None:
    a = Alone()
    a.hook.current = Fake()  # type: ignore[assignment]
    data, callback = a.hook.data, CALLBACK(a.hook.callback)

    def drop() -> None:
        del a.hook
        gc.collect()

    a.next = drop
    callback(1, x86.SYSCALL, data)
    assert a.raised == [None]


def test_a_failure_to_tell_of_a_failure_is_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: told.append(what.exc_value))
    a = Alone(ended=lambda _e: 1 // 0)
    a.hook.current = Fake()  # type: ignore[assignment]
    a.trap()
    assert [type(e) for e in told] == [ZeroDivisionError]


def test_the_state_of_a_hook_that_is_gone_is_let_go() -> None:
    a = Alone()
    a.hook.current = fake = Fake()  # type: ignore[assignment]
    del a
    gc.collect()
    fake.buf.append(0)
    assert sys.getrefcount(fake) == 2
