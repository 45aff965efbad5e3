"""The server, by packets: what gdb would say, and what it hears."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from capstone import CS_ARCH_X86, CS_MODE_32, Cs

from emu.debug.memory import frame
from emu.debug.server import Server
from emu.debug.travel import Killed
from emu.machine import probe
from emu.machine.config import Config, Outcome
from emu.machine.machine import Machine
from emu.program.aout import load
from emu.program.find import resolve
from tests.emu.debug.scripted import Console, Result, Talk, ask, debug, field, pc, symbol

pytestmark = pytest.mark.guest


def plain(program: str, *args: str, **options: Any) -> Outcome:
    """The run that nobody looks at."""
    with closing(Machine(Config(**options), console=Console())) as machine:
        return machine.run(program, args)


def same(result: Result, other: Outcome) -> bool:
    """Whether a run was the other one, to the ns."""
    assert result.outcome is not None
    return replace(result.outcome.stats, host_seconds=0) == replace(other.stats, host_seconds=0)


def test_a_run_that_is_only_looked_at_is_the_same_run() -> None:
    seen: list[bytes] = []

    def talk(server: Server) -> Talk:
        seen.append((yield from ask(b"?")))
        seen.append((yield from ask(b"vCont;c")))
        yield b"vCont;c"

    result = debug("hello", talk=talk)
    assert result.written == b"hello, world\n"
    assert pc(seen[0]) == symbol("hello", "_start")
    assert seen[1] == b"W00;process:2"
    assert same(result, plain("hello"))


EVERYWHERE = pytest.mark.parametrize(
    "options",
    [
        {},
        {"mmu": "plain"},
        {"cpus": 2},
        {"cpus": 4, "sched": "random", "seed": 5},
        {"sched": "random", "seed": 3},
        {"counter": "hook"},
        {"counter": "python"},
    ],
    ids=str,
)


@EVERYWHERE
def test_breakpoints_and_steps_cost_no_time(options: dict[str, Any]) -> None:
    main = symbol("cow", "main")
    stops: list[int] = []

    def talk(server: Server) -> Talk:
        assert (yield from ask(b"Z0,%x,1" % main)) == b"OK"
        assert field((yield from ask(b"vCont;c")), "swbreak") == ""
        stops.append(server.session.time())
        yield b"z0,%x,1" % main
        for _ in range(300):
            yield b"vCont;s:p2.2"
        while True:
            if (yield from ask(b"vCont;c")).startswith(b"W00;process:2"):
                yield b"vCont;c"

    result = debug("cow", "3", talk=talk, **options)
    assert stops
    assert same(result, plain("cow", "3", **options))


@EVERYWHERE
def test_watching_costs_no_time(options: dict[str, Any]) -> None:
    area = symbol("shm", "area")
    values: list[bytes] = []

    def talk(server: Server) -> Talk:
        yield b"Z2,%x,4" % area
        while True:
            if b"watch" in (yield from ask(b"vCont;c")):
                values.append((yield from ask(b"m%x,4" % area)))

    result = debug("shm", "3", talk=talk, **options)
    assert b"0000005a" in values
    assert same(result, plain("shm", "3", **options))


def test_watching_without_the_extension_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_native", lambda: 0)
    area = symbol("shm", "area")
    stops: list[bytes] = []

    def talk(server: Server) -> Talk:
        yield b"Z4,%x,4" % area
        while True:
            reply = yield from ask(b"vCont;c")
            if b"awatch" in reply:
                stops.append(reply)

    result = debug("shm", "1", talk=talk)
    first, stops = stops, []
    monkeypatch.undo()
    assert same(debug("shm", "1", talk=talk), plain("shm", "1"))
    assert first == stops and len(stops) > 3
    assert same(result, plain("shm", "1"))


def test_each_step_is_one_instruction_through_faults_and_system_calls() -> None:
    pcs: list[int] = []

    def talk(server: Server) -> Talk:
        pcs.append(pc((yield from ask(b"?"))))
        while True:
            reply = yield from ask(b"vCont;s:p2.2")
            if not reply.startswith(b"T05"):
                break
            pcs.append(pc(reply))
        yield b"vCont;c"

    result = debug("touch", "2", talk=talk)
    assert result.outcome is not None and result.outcome.stats.faults > 3
    code = Cs(CS_ARCH_X86, CS_MODE_32)
    text = load(resolve("touch"))
    for here, there in pairwise(pcs):
        insn = next(code.disasm(text.bytes_at(here, 15), here))
        if insn.mnemonic[0] == "j" or insn.mnemonic in ("call", "ret"):
            assert there != here
        elif not insn.mnemonic.startswith("rep"):
            assert there == here + insn.size, insn
    assert any(next(code.disasm(text.bytes_at(pc, 15), pc)).mnemonic == "int" for pc in pcs)


def hooked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The instructions before which a hook in Python is called from now on."""
    pcs: list[int] = []
    instruction = probe.Probed._instruction

    def counted(self: probe.Probed, pc: int) -> None:
        pcs.append(pc)
        instruction(self, pc)

    monkeypatch.setattr(probe.Probed, "_instruction", counted)
    return pcs


@pytest.mark.parametrize("options", [{}, {"cpus": 2}, {"cpus": 2, "sched": "random", "seed": 5}], ids=str)
def test_a_step_over_a_call_that_blocks_hooks_nobody_else(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = hooked(monkeypatch)
    entry = symbol("fp", "await")

    def talk(server: Server) -> Talk:
        yield b"Z0,%x,1" % entry
        assert pc((yield from ask(b"vCont;c"))) == entry
        yield b"z0,%x,1" % entry
        seen.clear()
        for at in (entry + 5, entry + 7):  # mov, int $0x40
            assert pc((yield from ask(b"vCont;s:p2.2"))) == at
        assert seen == [entry, entry + 5, entry + 7]
        for _ in range(1000):
            assert (yield from ask(b"vCont;s:p2.2")).startswith(b"T05")
        assert len(seen) <= 3 + 1000 * 2
        yield b"vCont;c"

    hello = b"qSupported:multiprocess+;swbreak+"
    assert same(debug("fp", talk=talk, hello=hello, **options), plain("fp", **options))


@pytest.mark.parametrize("options", [{}, {"cpus": 2}, {"cpus": 2, "sched": "random", "seed": 3}], ids=str)
def test_a_step_through_a_fault_that_waits_for_the_disk_is_one_instruction(options: dict[str, Any]) -> None:
    options |= {"memory": 4 << 20, "swap": 8 << 20}
    entry = symbol("swapfork", "rfork")
    pcs: list[int] = []
    switches = 0

    def talk(server: Server) -> Talk:
        nonlocal switches
        yield b"Z0,%x,1" % entry
        yield b"vCont;c"
        assert pc((yield from ask(b"vCont;c"))) == entry  # the second
        yield b"z0,%x,1" % entry
        began = server.session.n
        for _ in range(2000):
            pcs.append(pc((yield from ask(b"vCont;s:p2.2"))))
        switches = server.session.n - began
        yield b"vCont;c"

    result = debug("swapfork", talk=talk, hello=b"qSupported:multiprocess+;swbreak+", **options)
    assert not [a for a, b in pairwise(pcs) if a == b]
    assert switches > 50  # other processes' faults: they ran meanwhile
    assert same(result, plain("swapfork", **options))


def test_a_breakpoint_is_one_process_s() -> None:
    rfork = symbol("cow", "exits")
    hits: list[str] = []

    def talk(server: Server) -> Talk:
        fork = yield from ask(b"vCont;c")
        assert field(fork, "fork") == "p3.3" and field(fork, "thread") == "p2.2"
        yield b"Hgp3.3"
        assert (yield from ask(b"Z0,%x,1" % rfork)) == b"OK"
        while True:
            reply = yield from ask(b"vCont;c")
            if not reply.startswith(b"T"):
                break
            hits.append(field(reply, "thread"))
        while True:
            yield b"vCont;c"

    debug("cow", "1", talk=talk)
    assert hits == ["p3.3"]


def test_the_guest_does_not_see_a_breakpoint() -> None:
    main = symbol("hello", "main")

    def talk(server: Server) -> Talk:
        before = yield from ask(b"m%x,4" % main)
        yield b"Z0,%x,1" % main
        stop = yield from ask(b"vCont;c")
        assert pc(stop) == main and field(stop, "swbreak") == "" and b"swbreak:;" in stop
        assert (yield from ask(b"m%x,4" % main)) == before
        p = server.session.process(2)
        assert p is not None
        pa = frame(p, main)
        assert pa is not None
        assert server.machine.kernel.mem.read(pa + main % 4096, 4).hex().encode() == before
        while True:
            yield b"vCont;c"

    assert debug("hello", talk=talk).written == b"hello, world\n"


def test_registers_are_read_and_changed() -> None:
    def talk(server: Server) -> Talk:
        everything = yield from ask(b"g")
        assert len(everything) == 2 * 308
        assert (yield from ask(b"P0=78563412")) == b"OK"
        assert (yield from ask(b"p0")) == b"78563412"
        assert (yield from ask(b"P10=" + b"01" * 10)) == b"OK"  # st0
        assert (yield from ask(b"p10")) == b"01" * 10
        assert (yield from ask(b"P20=" + b"02" * 16)) == b"OK"  # xmm0
        assert (yield from ask(b"p20")) == b"02" * 16
        assert (yield from ask(b"p29")) == b"E16"
        assert (yield from ask(b"G" + everything)) == b"OK"
        assert (yield from ask(b"g")) == everything
        assert (yield from ask(b"p9"))[:4] == b"0202"
        while True:
            yield b"vCont;c"

    assert debug("hello", talk=talk).written == b"hello, world\n"


def test_a_changed_pc_is_where_it_goes_on() -> None:
    main, exits = symbol("hello", "main"), symbol("hello", "exits")

    def talk(server: Server) -> Talk:
        yield b"Z0,%x,1" % main
        yield b"vCont;c"
        yield b"P8=" + exits.to_bytes(4, "little").hex().encode()
        while True:
            yield b"vCont;c"

    assert b"hello, world" not in debug("hello", talk=talk).written


def test_memory_that_is_not_there_is_told_without_a_fault() -> None:
    area = symbol("cow", "area")

    def talk(server: Server) -> Talk:
        k = server.machine.kernel
        faults = k.nfault
        assert (yield from ask(b"m%x,4" % area)) == b"00000000"
        assert (yield from ask(b"M%x,1:ff" % area)) == b"E0e"
        assert (yield from ask(b"m0,4")) == b"E0e"
        assert (yield from ask(b"mf0000000,4")) == b"E0e"
        text = yield from ask(b"qRcmd," + f"pte {area:x}".encode().hex().encode())
        assert "was not touched yet, in the bss segment" in bytes.fromhex(text.decode()).decode()
        assert k.nfault == faults
        while True:
            yield b"vCont;c"

    assert same(debug("cow", "1", talk=talk), plain("cow", "1"))


def test_a_watch_is_exact_and_sees_other_processes() -> None:
    area = symbol("shm", "area")
    stops: list[bytes] = []

    def talk(server: Server) -> Talk:
        assert (yield from ask(b"Z2,%x,4" % area)) == b"OK"
        while True:
            sent = yield b"vCont;c"
            if b"watch" in sent[-1]:
                stops.append(b"".join(sent))
                value = yield from ask(b"m%x,4" % area)
                stops[-1] += value
            elif sent[-1].startswith(b"W00;process:2"):
                while True:
                    yield b"vCont;c"

    result = debug("shm", "1", talk=talk)
    # the parent's 0, then the child's key
    assert [s[-8:] for s in stops] == [b"00000000", b"0000005a"]
    assert all(f"watch:{area:x};".encode() in s for s in stops)
    assert b"written by shm 3".hex().encode() in stops[1]
    assert same(result, plain("shm", "1"))


def test_reads_are_watched_too() -> None:
    area = symbol("shm", "area")
    kinds: list[str] = []

    def talk(server: Server) -> Talk:
        yield b"Z3,%x,4" % area
        while True:
            reply = yield from ask(b"vCont;c")
            kinds.extend(k for k in ("awatch", "rwatch", "watch") if field(reply, k))
            if reply.startswith(b"W00;process:2"):
                while True:
                    yield b"vCont;c"

    debug("shm", "1", talk=talk)
    assert kinds and set(kinds) == {"rwatch"}


def test_system_calls_are_caught_on_their_way_in_and_out() -> None:
    seen: list[tuple[str, str]] = []

    def talk(server: Server) -> Talk:
        assert (yield from ask(b"QCatchSyscalls:1;33")) == b"OK"
        for _ in range(2):
            reply = yield from ask(b"vCont;c")
            seen.append((field(reply, "syscall_entry"), field(reply, "syscall_return")))
        assert (yield from ask(b"QCatchSyscalls:0")) == b"OK"
        while True:
            yield b"vCont;c"

    result = debug("hello", talk=talk)
    assert seen == [("33", ""), ("", "33")]  # pwrite
    assert same(result, plain("hello"))


def test_faults_are_caught_by_class() -> None:
    told: list[str] = []

    def talk(server: Server) -> Talk:
        wrong = yield from ask(b"qRcmd," + b"catch fault class=nonsense".hex().encode())
        assert "no class of faults" in bytes.fromhex(wrong.decode()).decode()
        yield b"qRcmd," + b"catch fault class=cow-copy,cow-reuse".hex().encode()
        while True:
            sent = yield b"vCont;c"
            told.extend(bytes.fromhex(s[1:].decode()).decode() for s in sent if s[:1] == b"O" and s != b"OK")

    debug("cow", "2", talk=talk)
    assert sum("cow-copy" in t for t in told) >= 2 and all("cow-" in t for t in told)


def test_an_exec_is_told_with_the_program_s_name() -> None:
    names: list[str] = []

    def talk(server: Server) -> Talk:
        while True:
            reply = yield from ask(b"vCont;c")
            if field(reply, "exec"):
                names.append(bytes.fromhex(field(reply, "exec")).decode())

    result = debug("exec", "/bin/hello", talk=talk)
    assert names and names[0] == "/bin/hello"
    assert result.written.endswith(b"hello, world\n")


def test_a_process_that_breaks_is_seen_where_it_broke() -> None:
    stops: list[bytes] = []

    def talk(server: Server) -> Talk:
        stops.append((yield from ask(b"vCont;c")))
        assert len((yield from ask(b"g"))) == 2 * 308
        stops.append((yield from ask(b"vCont;c")))
        while True:
            yield b"vCont;c"

    debug("wild", "0", talk=talk)
    assert stops[0].startswith(b"T0b") and stops[1] == b"X0b;process:2"


def test_ctrl_c_stops_a_program_that_computes() -> None:
    def talk(server: Server) -> Talk:
        server.link.interrupting = True  # type: ignore[union-attr]
        stop = yield from ask(b"vCont;c")
        assert stop.startswith(b"T02") and field(stop, "thread") == "p2.2"

    assert debug("spin", "100000", talk=talk).outcome is None


def test_killing_and_leaving() -> None:
    def killing(server: Server) -> Talk:
        yield b"vKill;2"

    with pytest.raises(Killed):
        debug("hello", talk=killing)

    def leaving(server: Server) -> Talk:
        yield b"Z0,%x,1" % symbol("hello", "main")
        yield b"D;2"

    assert debug("hello", talk=leaving).written == b"hello, world\n"


def test_what_gdb_asks_at_first() -> None:
    def talk(server: Server) -> Talk:
        assert (yield from ask(b"vMustReplyEmpty")) == b""
        assert (yield from ask(b"QStartNoAckMode")) == b"OK"
        assert (yield from ask(b"qC")) == b"QCp2.2"
        assert (yield from ask(b"qfThreadInfo")) == b"mp2.2"
        assert (yield from ask(b"qsThreadInfo")) == b"l"
        assert (yield from ask(b"Tp2.2")) == b"OK" and (yield from ask(b"Tp9.9")) == b"E03"
        assert b"org.gnu.gdb.i386.core" in (yield from ask(b"qXfer:features:read:target.xml:0,fff"))
        assert (yield from ask(b"qXfer:exec-file:read:2:0,fff")) == b"l/bin/hello"
        assert (yield from ask(b"qXfer:exec-file:read:9:0,fff")) == b"E03"
        assert b'<thread id="p2.2"' in (yield from ask(b"qXfer:threads:read::0,fff"))
        assert b'type="ram"' in (yield from ask(b"qXfer:memory-map:read::0,fff"))
        assert (yield from ask(b"qAttached:2")) == b"0"
        opened = yield from ask(b"vFile:open:" + b"/bin/hello".hex().encode() + b",0,0")
        assert opened == b"F0"
        assert (yield from ask(b"vFile:pread:0,4,0")) == b"F4;\x7fELF"
        assert (yield from ask(b"vFile:close:0")) == b"F0"
        assert (yield from ask(b"vFile:open:" + b"/etc/passwd".hex().encode() + b",0,0")) == b"F-1,2"
        assert (yield from ask(b"vFile:open:" + b"/bin/hello".hex().encode() + b",1,0")) == b"F-1,1e"
        while True:
            yield b"vCont;c"

    debug("hello", talk=talk)


def test_a_client_that_knows_of_one_process_alone() -> None:
    def talk(server: Server) -> Talk:
        assert (yield from ask(b"?")).endswith(b";thread:2;")
        assert (yield from ask(b"qC")) == b"QC2"
        assert (yield from ask(b"qfThreadInfo")) == b"m2"
        assert (yield from ask(b"Hg2")) == b"OK"
        assert pc((yield from ask(b"vCont;s:2"))) > 0
        yield b"Z0,%x,1" % symbol("cow", "exits")
        stop = yield from ask(b"c")
        assert b"swbreak" not in stop and stop.endswith(b";thread:2;")
        yield b"z0,%x,1" % symbol("cow", "exits")
        assert (yield from ask(b"c")) == b"W00"
        yield b"c"

    assert debug("cow", "1", talk=talk, hello=b"qSupported").outcome is not None


SEEDS = (
    b"g", b"G00", b"p8", b"P8=00000000", b"m1020,10", b"M3000,1:00", b"X3000,1:a", b"Z0,1020,1", b"z0,1020,1",
    b"Z2,3000,4", b"Z3,3000,ffffffff", b"z2,3000,4", b"Hgp2.2", b"Hg0", b"Hc-1", b"Tp2.2", b"qC", b"qSupported:a+;b-",
    b"qXfer:features:read:target.xml:0,10", b"qXfer:threads:read::0,ffff", b"qXfer:exec-file:read:2:0,80",
    b"qRcmd,68656c70", b"qRcmd,7064652030", b"QCatchSyscalls:1;7;8", b"vFile:open:2f62696e,0,0", b"vFile:pread:0,1,2",
    b"vFile:fstat:0", b"vCont?", b"qThreadExtraInfo,p2.2", b"vCont;x", b"D;99", b"vKill;99", b"!", b"vRun;",
)  # fmt: skip


def test_no_packet_is_too_odd() -> None:
    rng = random.Random(1)

    def talk(server: Server) -> Talk:
        for _ in range(3000):
            data = bytearray(rng.choice(SEEDS))
            for _ in range(rng.randrange(4)):
                what, at = rng.randrange(3), rng.randrange(len(data) + 1)
                if what == 0:
                    data[at:at] = bytes((rng.choice(b"0123456789abcdef,;:.-p%c" % rng.randrange(256)),))
                elif what == 1:
                    del data[at : at + 1]
                else:
                    data = data[:at]
            packet = bytes(data)
            if not packet.startswith((b"c", b"C", b"s", b"S", b"k", b"D", b"vKill;", b"vCont;")):
                assert len((yield packet)) == 1, packet

    debug("hello", talk=talk)
