"""The face for other programs: what run and Machine give, and what they say when something is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import emu
from emu import Bind, Config, ExitError, Fault, LimitError, LoadError, Machine, MachineError, NotPresent, TimeLimit, run
from emu.api.log import Count
from emu.api.options import configuration
from kernel.base.event import Event, ProcEvent, SyscallEvent
from kernel.base.kernel import Kernel
from tests.e2e.harness import p9emu
from tests.standin import plan9

pytestmark = pytest.mark.guest


def test_importing_the_face_imports_nothing_else() -> None:
    rooms = ("emu.", "kernel", "guest", "greenlet")
    code = f"import sys, emu; print(sorted(m for m in sys.modules if m.startswith({rooms})))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "[]\n"


def test_every_name_is_there() -> None:
    assert {name for name in emu.__all__ if getattr(emu, name).__name__ != name} == set()
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        emu.other  # noqa: B018


def test_result() -> None:
    r = run("cat", stdin=b"from here")
    assert (r.status, r.exits, r.stdout, r.stderr, r.name, r.args) == (0, "", b"from here", b"", "cat", ("cat",))
    assert r.check_status() is r
    r = run("false", "no luck")
    assert (r.status, r.exits) == (1, "false 2: no luck")
    with pytest.raises(ExitError, match="false ended with status 1: false 2: no luck") as e:
        r.check_status()
    assert e.value.result is r
    assert repr(r) == f"<Result false no luck: status 1 'false 2: no luck', {r.stats.faults} faults>"
    assert run("nil").errtext.startswith("nil 2: suicide: ")
    assert run("echo", "ö").text == "ö\n"


def test_a_result_tells_what_the_command_tells() -> None:
    r = run("cow", "2", events="%all")
    assert r.json().encode() == p9emu("trace", "--format", "json", "-e", "%all", "cow", "2").stderr
    assert r.trace(frozenset({"fault"})).encode() == p9emu("trace", "-e", "fault", "cow", "2").stderr
    assert r.summary().encode() == p9emu("trace", "-e", "%all", "-c", "cow", "2").stderr
    html = r._repr_html_()
    assert "<td>cow-copy</td>" in html
    assert html.count("<table>") == html.count("</table>") == 3
    assert "&lt;" in run("echo", "<b>")._repr_html_()


def test_faults_are_filtered_and_counted() -> None:
    r = run("cow", "3")
    copies = r.faults(cls="cow-copy", segment="bss")
    assert [hex(f.page) for f in copies] == ["0x3000", "0x4000", "0x5000"]
    assert all(f.instruction.startswith("mov") and f.symbol.startswith("main+") for f in copies)
    assert len(r.faults(page=range(0x3000, 0x5000), cls=("cow-copy", "zero-fill"))) == 4
    assert r.faults(lambda f: f.addr == 0x3004) == r.faults(addr=0x3004)
    n = r.faults.count(segment="bss", cls="cow-copy")
    assert isinstance(n, Count)
    assert n == 3 == len(n.events)
    assert r.faults.by_class()["cow-copy"] == 4
    assert r.faults.by_class()["swap-in"] == 0
    assert r.faults.by_segment()["bss"] == {"cow-copy": 3, "remap": 3, "zero-fill": 3}
    assert sum(r.faults.by("pid").values()) == len(r.faults) == r.stats.faults
    assert r.syscalls.names() == ["exits", "rfork", "await", "exits"]
    assert r.syscalls.by_name() == {"await": 1, "exits": 2, "rfork": 1}
    assert repr(copies[:1]).splitlines()[0] == "<1 faults cls=cow-copy segment=bss:"
    assert "more>" in repr(run("cow", "30").faults)
    assert isinstance(copies[0], Fault)
    with pytest.raises(TypeError, match="a fault has no 'klass'; it has access, addr"):
        r.faults(klass="x")
    with pytest.raises(ValueError, match="no events of kind 'fault' were kept"):
        assert run("true", events="syscall").faults


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"memory": "1M"}, "memory: 1048576 bytes"),
        ({"memory": "lots"}, "'lots' is not a size"),
        ({"memory": ""}, "'' is not a size"),
        ({"swap": "5G"}, "swap"),
        ({"cpus": 9}, "cpus: 9"),
        ({"seed": -1}, "seed"),
        ({"timeout": 0}, "timeout"),
        ({"epoch": -1}, "epoch: -1 is not a number of seconds since 1970"),
        ({"maxoutput": -1}, "maxoutput: -1 is negative"),
        ({"maxevents": -1}, "maxevents: -1 is negative"),
        ({"timeout": float("nan")}, "timeout"),
        ({"sched": "fair"}, "sched: 'fair' is none of fifo, random"),
        ({"mmu": "plain", "cpus": 2}, "one processor"),
        ({"swapfile": "x"}, "swapfile"),
        ({"binds": [("/nosuch", "/mnt")]}, "'/nosuch' is not a directory"),
        ({"binds": [("/tmp", "mnt")]}, "does not begin with '/'"),
        ({"binds": [("/tmp", "/")]}, "root"),
        ({"root": "/nosuch"}, "not a directory"),
        ({"env": {"a/b": "c"}}, "env: 'a/b'"),
        ({"inject": [("luck", 1, False)]}, "'luck' cannot fail"),
        ({"events": "faults"}, "unknown event 'faults'"),
    ],
)
def test_what_no_machine_can_have(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as e:
        run("true", **options)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"memory": None}, "memory: None is not a number of bytes, or text as 64M"),
        ({"memory": 4.5}, "memory: 4.5 is not a number of bytes, or text as 64M"),
        ({"cpus": "2"}, "cpus: '2' is not a number"),
        ({"cpus": True}, "cpus: True is not a number"),
        ({"seed": None}, "seed: None is not a number"),
        ({"timeout": "x"}, "timeout: 'x' is not a number of seconds, or None"),
        ({"epoch": "now"}, "epoch: 'now' is not a number of seconds since 1970, or None"),
        ({"cwd": 5}, "cwd: 5 is not a path in the guest"),
        ({"check": "no"}, "check: 'no' is not True or False"),
        ({"root": 5}, "root: 5 is not a path, a Root, or None"),
        ({"swapfile": 5}, "swapfile: 5 is not a path"),
        ({"binds": 5}, "binds: 5 is not a list of (host, guest) or (host, guest, writable)"),
        ({"binds": [1]}, "binds: [1] is not a list of (host, guest) or (host, guest, writable)"),
        ({"env": [("a",)]}, "env: [('a',)] is not a mapping of names to values"),
        ({"inject": "malloc:1"}, "inject: 'malloc:1' is not a list of (kind, number, whether each such number)"),
        ({"fix": 5}, "fix: 5 is not text or a list of names"),
        ({"stdin": 5}, "stdin: 5 is neither bytes nor text"),
        ({"maxoutput": "x"}, "maxoutput: 'x' is not a number, or None"),
    ],
)
def test_what_is_of_another_type_is_told_in_words(options: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError) as e:
        run("true", **options)
    assert str(e.value) == words


def test_an_address_that_is_none() -> None:
    with Machine() as m:
        next(m.events("true", kinds="syscall"))
        assert m.current is not None
        for va in (-1, 1 << 32, 1 << 70):
            with pytest.raises(ValueError, match=f"{va:#x} is no address of 32 bits"):
                m.walk(m.current, va)


def test_options_as_they_are_written_in_python(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("inside")
    assert run("cat", "/mnt/f", "/env/x", binds=[(tmp_path, "/mnt")], env={"x": "y"}).stdout == b"insidey"
    assert run("cat", "/f", root=tmp_path).stdout == b"inside"
    r = run("rc", "-c", "pwd; greet you", tree=plan9(tmp_path / "plan9"))
    assert (r.status, r.stdout) == (0, b"/usr/glenda\nhello you\n")
    c = configuration(Config(cpus=2), memory="8M", binds=[Bind(str(tmp_path), "/mnt")])
    assert (c.cpus, c.memory, c.binds[0].host) == (2, 8 << 20, str(tmp_path))
    with pytest.raises(TypeError, match="no 'cpu'; it has argv0, binds"):
        configuration(cpu=2)


def test_bounds_and_failures(tmp_path: Path) -> None:
    with Machine(maxoutput=10) as m:
        with pytest.raises(LimitError, match=r"more than 10 bytes \(maxoutput\)"):
            m.run("echo", ["much more than that"])
        assert m.stdout == b"much more "
    with pytest.raises(LimitError, match="more than 5 events"):
        run("cow", "2", maxevents=5)
    with pytest.raises(TimeLimit, match=r"0\.05 s"):
        run("spin", "1000000", timeout=0.05)
    with pytest.raises(LoadError) as e:
        run("/nosuch")
    assert e.value.status == 127
    with Machine() as m:
        with pytest.raises(MachineError, match="no progress"):
            m.run(deadlock(tmp_path))
        assert "deadlock" in m.dump
    assert run("true").status == 0


def deadlock(tmp_path: Path) -> Path:
    """A program that waits for a rendezvous that never comes."""
    from tests.e2e.harness import aout

    path = tmp_path / "deadlock"
    # rendezvous(1, 0), whose number is 34: push 0; push 1; push 0; mov eax, 34; int 64
    path.write_bytes(aout(b"\x6a\x00\x6a\x01\x6a\x00\xb8\x22\x00\x00\x00\xcd\x40\xcd\x03"))
    return path


def test_subscribers() -> None:
    faults: list[Event] = []
    all_: list[Event] = []
    with Machine() as m:
        m.subscribe(faults.append, "fault")
        stop = m.subscribe(all_.append)

        def once(ev: Event) -> None:
            if ev.kind == "syscall":
                stop()

        m.subscribe(once, {"syscall"})
        r = m.run("cow", ["2"], events="")
    assert r.events == ()
    assert len(faults) == r.stats.faults
    assert len(all_) > 0
    assert all_[-1].kind == "syscall"
    assert sum(isinstance(e, SyscallEvent) for e in all_) == 1


def test_views_at_an_event() -> None:
    with Machine() as m:
        copied = 0
        for ev in m.events("cow", ["2"], kinds={"fault", "proc"}):
            if isinstance(ev, Fault) and ev.cls == "cow-copy" and ev.segment == "bss":
                copied += 1
                w = m.walk(ev.pid, ev.addr)
                assert (w.frame, w.present, w.writable, w.flags[:3]) == (ev.frame, True, True, "PWU")
                assert w in [*m.pagetable(ev.pid), w]
                assert w.pte in [x.pte for x in m.pagetable(ev.pid)]
                f = m.frame(ev.frame)
                assert (f.use, f.ref, [o.pid for o in f.owners]) == ("user", 1, [ev.pid])
                # the parent's page is another one, with the same word so far
                old = m.walk(2, ev.addr)
                assert old.frame != ev.frame
                assert m.read(2, ev.page, 4) == m.read(ev.pid, ev.page, 4) == copied.to_bytes(4, "little")
                p = m.process(ev.pid)
                assert (p.parent, p.name, p.kernel) == (2, "cow", False)
                assert p.registers.pc == ev.pc
                assert [s.type for s in p.segments] == ["stack", "text", "data", "bss"]
                assert p.resident >= copied
                assert m.current == ev.pid
                assert [i.path for i in m.images()] == ["/bin/cow"]
            if isinstance(ev, ProcEvent) and ev.op == "exit" and ev.pid == 3:
                assert [q.pid for q in m.processes()] == [1, 2, 3]
        assert copied == 2
        assert [(i.path, i.pgref) for i in m.images()] == [("", 2)]  # cached, its file closed
        mem = m.memory()
        assert mem.free <= mem.pages == m.result.stats.pages  # type: ignore[union-attr]
        uses = [f.use for f in m.frames()]
        assert uses.count("free") == mem.free - (mem.pages - len(uses))
        with pytest.raises(NotPresent, match="0x00000010: is in no segment"):
            m.read(1, 0x10, 1)
        with pytest.raises(LookupError, match="no process 77"):
            m.walk(77, 0)


def test_what_is_not_in_memory() -> None:
    with Machine(memory="4M", swap="8M") as m:
        seen = ""
        for ev in m.events("thrash", ["600", "1"], kinds="fault"):
            if ev.cls == "swap-in":  # type: ignore[attr-defined]
                p = m.process(ev.pid)
                bss = next(s for s in p.segments if s.type == "bss")
                assert bss.swapped > 0
                for va in range(bss.base, bss.top, 4096):
                    try:
                        m.read(ev.pid, va, 1)
                    except NotPresent as e:
                        seen = str(e)
                        if "swap" in seen:
                            break
                break
    assert "is on swap" in seen


def test_looking_changes_nothing() -> None:
    plain = run("cow", "3", events="%all", cpus=2)
    with Machine(cpus=2, check=True) as m:
        got = []
        for ev in m.events("cow", ["3"], kinds="%all"):
            got.append(ev)
            for p in m.processes():
                m.pagetable(p.pid)
                for s in p.segments:
                    try:
                        m.read(p.pid, s.base, 4096)
                    except NotPresent:
                        pass
            m.frames(), m.images(), m.memory()
        assert m.result is not None
        assert m.result.json() == plain.json()
        assert got == list(plain.events)


def test_events_are_chosen_by_their_fields() -> None:
    r = run("cow", "3", events="fault:class=cow-copy,segment=bss,syscall")
    assert r.kinds == {"fault", "syscall"}
    assert [f.cls for f in r.faults] == ["cow-copy"] * 3
    assert len(r.syscalls) == 4
    every = run("cow", "3")
    assert every.faults("class=cow-copy,segment=bss") == every.faults(cls="cow-copy", segment="bss")
    assert every.faults.count("class=cow-copy|zero-fill,segment!=stack") == 3 + 4
    assert "class=remap" in repr(every.faults("class=remap"))
    with pytest.raises(ValueError, match="fault has no field 'klass'; it has"):
        every.faults("klass=remap")
    with pytest.raises(ValueError, match="no fault has class 'x'; there are"):
        run("cow", "3", events="fault:class=x")


def test_a_subscriber_gets_what_it_asked_for() -> None:
    seen: list[Event] = []
    with Machine() as m:
        done = m.subscribe(seen.append, "proc:op=fork|exit")
        m.run("cow", ["1"])
        done()
    assert [e.op for e in seen if isinstance(e, ProcEvent)] == ["fork", "exit", "exit"]


def test_a_run_stands_still_at_chosen_events_alone() -> None:
    with Machine() as m:
        events = list(m.events("cow", ["2"], kinds="fault:class=cow-copy,segment=bss"))
    assert [hex(e.addr) for e in events if isinstance(e, Fault)] == ["0x3004", "0x4004"]


def test_events_that_nobody_wants_are_not_even_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """And making them or not changes nothing in the run."""
    made: set[str] = set()
    emit = Kernel.emit

    def counting(k: Kernel, ev: Event) -> None:
        made.add(ev.kind)
        emit(k, ev)

    monkeypatch.setattr(Kernel, "emit", counting)
    wanted = frozenset({"note", "boot"})
    result = run("thrash", "600", "1", memory="4M", swap="8M", events=wanted)
    assert not made & {"fault", "syscall", "page", "entry", "mmu", "tlb", "sched"}
    every = run("thrash", "600", "1", memory="4M", swap="8M", events="%all")
    assert every.stats.virtual_ns == result.stats.virtual_ns
    assert [e for e in every.events if e.kind in wanted] == list(result.events)
