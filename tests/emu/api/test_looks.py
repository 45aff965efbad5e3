"""emu.api.looks, and what a machine tells that records its events."""

from __future__ import annotations

import pytest

from emu.api.machine import Machine
from kernel.base.event import FaultEvent

M = 1 << 20


def test_locks_and_waiters_and_invariants_where_memory_is_short() -> None:
    seen: set[str] = set()
    with Machine(memory=4 * M, swap=16 * M) as m:
        for n, _ in enumerate(m.events("swapfork", ["300"], kinds="page")):
            if n % 50:
                continue
            locks = m.locks()
            assert "qlock qwaitr of init 1: held by init 1" in str(locks).splitlines()
            for lock in locks.held:
                assert lock.holder or lock.waiters
                seen.update(w for w in lock.waiters)
            waiting = {w.pid: w.what for w in locks.waiting}
            assert waiting[1].startswith("the end of one of")
            said = m.invariants()
            assert not said.wrong, said
            if len(seen) > 1:
                assert " is in " in str(said)
                assert any("waited for by" in str(lock) for lock in locks.held)
                assert any(what.startswith("the lock pwait of palloc") for what in waiting.values())
                break
    assert len(seen) > 1


def test_the_queue_is_in_the_order_of_the_scheduler() -> None:
    with Machine() as m:
        for ev in m.events("cow", ["4"], kinds="fault:class=cow-copy"):
            queue = m.queue()
            assert [(q.pid, q.name) for q in queue] == [(2, "cow")]
            assert str(queue[0]) == f"cow[2], priority {queue[0].priority}"
            assert ev.pid == 3
            break


def test_the_stack_of_any_process_and_its_code() -> None:
    with Machine() as m:
        for ev in m.events("cow", ["4"], kinds="fault:class=cow-copy,mode=user"):
            assert isinstance(ev, FaultEvent)
            mine, other = m.stack(ev.pid), m.stack(2)
            assert mine.frames[0].pc == ev.pc
            assert mine.frames[0].symbol.startswith("main+0x")
            assert mine.kernel.endswith("tracedfault > emit")
            assert other.frames[0].symbol.startswith("rfork+0x")
            assert m.stack(1).frames == ()
            assert str(mine).splitlines()[1].startswith(f"  0x{ev.pc:08x} main+0x")
            code = m.disasm(ev.pid, n=3)
            assert len(code.instructions) == 3
            assert code.instructions[0].text.startswith("mov")
            assert code.instructions[0].pc == ev.pc
            assert str(m.disasm(2, ev.pc, 1)).splitlines()[1] == str(code).splitlines()[1]
            assert "may be written" in m.walk(ev.pid, ev.addr).words
            assert "not mapped" in m.walk(ev.pid, 0x3F00000).words
            for ask in (lambda: m.stack(9), lambda: m.disasm(9), lambda: m.disasm(1), lambda: m.disasm(2, 0x3F00000)):
                with pytest.raises(LookupError):
                    ask()
            break


def test_invariants_that_do_not_hold_are_told() -> None:
    with Machine() as m:
        for _ in m.events("cow", ["4"], kinds="fault:class=cow-copy"):
            page = next(p for p in m._machine.kernel.palloc.pages.values() if p.ref == 1)
            page.ref += 2
            assert m.invariants().wrong == ()  # somebody who is in the kernel may have it
            page.ref = 0
            said = m.invariants()
            assert any("has ref 0, 1 holders" in wrong for wrong in said.wrong)
            assert str(said).startswith("broken (cow[3] is in ")
            page.ref = 1
            break


def test_while_page_tables_are_given_back_nothing_can_be_told() -> None:
    with Machine() as m:
        said = [m.invariants() for ev in m.events("cow", ["4"], kinds="mmu:op=pool")]
    assert said
    assert not any(s.known for s in said)
    assert "gives its page tables back" in str(said[0])


def test_what_a_machine_records_can_be_asked() -> None:
    with Machine() as m:
        history = m.record()
        assert m.record() is history
        for ev in m.events("cow", ["4"], kinds="fault:class=cow-copy,segment=bss"):
            assert isinstance(ev, FaultEvent)
            trail = m.why(ev.addr, ev.pid)
            assert [step.what for step in trail.steps] == ["segment", "zero-fill", "fork", "cow-copy"]
            assert m.life(ev.frame).holders[0].pid == ev.pid
            assert m.segments(ev.pid)[1].others == (2,)
            assert m.image(0).path == "/bin/cow"
            break


def test_what_is_not_recorded_cannot_be_asked() -> None:
    with Machine() as m:
        m.run("cow", ["2"])
        with pytest.raises(RuntimeError, match="call record\\(\\) before the run"):
            m.why(0x3000, 2)
        m.close()
        with pytest.raises(RuntimeError, match="the machine is closed"):
            m.stack(2)
