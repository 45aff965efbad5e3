"""The comparison with a real processor: a recorded slice, and one on this computer's where it can."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.emu.differential import host
from tests.emu.differential.compare import differences
from tests.emu.differential.generate import sequence
from tests.emu.differential.known import KNOWN
from tests.emu.differential.layout import Case, Insn, Result
from tests.emu.differential.run import RECORDS, Processor, compare, live, numbers, recorded

LIVE = 500


def test_recorded() -> None:
    report = compare(numbers("recorded", 0, RECORDS), recorded())
    assert report.unexplained == []
    assert report.sequences == RECORDS


def test_this_computer(tmp_path: Path) -> None:
    """Other sequences where 32-bit programs run; else the recorded ones once more, the other way round."""
    program = host.build(tmp_path)
    if program is not None:
        report = compare(numbers("live", 0, LIVE), live(program))
    else:
        report = compare(reversed(list(numbers("recorded", 0, RECORDS))), recorded())
    assert report.unexplained == []


def test_sequences_have_no_system_calls(tmp_path: Path) -> None:
    """Random code cannot ask this computer's kernel for anything: getpid ends the program that runs it."""
    program = host.build(tmp_path)
    if program is not None:
        getpid = Insn("INT", b"\xb8\x14\0\0\0\xcd\x80", 0, 0)
        with pytest.raises(subprocess.CalledProcessError):
            host.run(program, [replace(sequence("x:0"), insns=(getpid,))])


def test_each_rule_is_a_row_of_the_documentation() -> None:
    doc = (Path(__file__).parents[3] / "docs/machine.md").read_text()
    section = doc.split("## Where Unicorn is not a 386")[1].split("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    assert rows == ["instruction", *(row.what for row in KNOWN)]


def test_same_number_same_sequence() -> None:
    assert [sequence(name) for name in numbers("x", 0, 50)] == [sequence(name) for name in numbers("x", 0, 50)]


def test_a_wrong_processor_is_found() -> None:
    """Each kind of difference, put into what was recorded, is told and is not explained."""
    genuine = recorded()
    plain = next(
        name
        for name in numbers("recorded", 0, RECORDS)
        if {insn.name for insn in sequence(name).insns} == {"ADD"} and genuine([sequence(name)])[0].trapno == 3
    )

    def broken(**change: Any) -> Processor:
        def processor(cases: Sequence[Case]) -> list[Result]:
            return [replace(r, **change) for r in genuine(cases)]

        return processor

    (good,) = genuine([sequence(plain)])
    assert compare([plain], genuine).differ == 0
    changes: tuple[dict[str, Any], ...] = (
        {"flags": good.flags ^ 1},
        {"registers": (*good.registers[:7], good.registers[7] ^ 1)},
        {"trapno": 6},
        {"pc": good.pc + 1},
        {"fx": good.fx[:160] + bytes([good.fx[160] ^ 1]) + good.fx[161:]},
        {"memory": {0x20000000: bytes(4096)}},
    )
    for change in changes:
        assert len(compare([plain], broken(**change)).unexplained) == 1


def test_flags_without_a_value_do_not_count() -> None:
    case = sequence("recorded:0")
    case = replace(case, insns=(Insn("MUL", b"\xf7\xe3", 0, 0xD4),), undefined=0xD4)
    (result,) = recorded()([sequence("recorded:0")])
    result = replace(result, pc=case.pc + 3)
    assert differences(case, result, replace(result, flags=result.flags ^ 0xD4)) == ()
    assert differences(case, result, replace(result, flags=result.flags ^ 1)) == ("flags",)
