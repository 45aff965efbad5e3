"""Registers in a saved state, and finding where they are."""

import struct
from dataclasses import fields

import pytest

from emu.machine import regs as regsmodule
from emu.machine.config import Config, MachineError
from emu.machine.lib import CTL_CODE_BUFFER, Lib, UnicornError, lib
from emu.machine.machine import Machine
from emu.machine.regs import Regs, probe, regsclass
from kernel.base import hw
from tests.emu.bare import Bare

CODE = 0x1000


def test_probe_finds_every_place_and_no_place_twice() -> None:
    layout = probe(lib())
    places = [getattr(layout, f.name) for f in fields(layout)]
    assert len(set(places)) == len(places)
    assert regsclass().layout == layout


def test_class_is_made_once() -> None:
    assert regsclass() is regsclass()


@pytest.mark.parametrize(
    ("mark", "value", "complaint"),
    [("ax", 0, "places in a saved state look like ax"), ("si", 0x12345, "0 places in a saved state look like si")],
)
def test_another_layout_is_refused_clearly(
    monkeypatch: pytest.MonkeyPatch, mark: str, value: int, complaint: str
) -> None:
    """A state in which a mark is not found, or found often, is one we do not understand."""
    genuine = regsmodule._Scratch.__init__

    def init(self: regsmodule._Scratch, lib: Lib) -> None:
        genuine(self, lib)
        self.first = [value if word == regsmodule.MARKS[mark] else word for word in self.first]

    if value == 0:
        monkeypatch.setitem(regsmodule.MARKS, mark, 0)
    else:
        monkeypatch.setattr(regsmodule._Scratch, "__init__", init)
    with pytest.raises(UnicornError, match=rf"this release of Unicorn \(2\.\d+\.\d+\) is not usable: .*{complaint}"):
        probe(lib())


def test_a_release_without_a_size_for_translated_code_is_refused_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    """2.0 is one. It is no error of p9emu's own, and not told as such."""
    real = lib().ctl
    monkeypatch.setattr(lib(), "ctl", lambda uc, what, *args: 15 if what == CTL_CODE_BUFFER else real(uc, what, *args))
    with pytest.raises(MachineError, match=r"^this release of Unicorn \(2\.\d+\.\d+\) is not usable: it has no memory"):
        Machine(Config())


def test_each_register_is_itself() -> None:
    """What is written in the saved state is what the program finds, and the other way round."""
    names = ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")
    with Bare() as bare:
        # INCL AX; ADDL $2, BX; .. CX $3, DX $4, SI $5, DI $6, BP $7, SP $8
        bare.load(CODE, bytes.fromhex("83c001 83c302 83c103 83c204 83c605 83c706 83c507 83c408 cd40"))
        regs = bare.regs(CODE)
        for i, name in enumerate(names):
            setattr(regs, name, 0xF0000000 + i * 0x100)
        bare.run(regs)
        assert [getattr(regs, name) for name in names] == [0xF0000000 + i * 0x101 + 1 for i in range(8)]
        assert regs.pc == CODE + 26


def test_values_are_cut_to_32_bits() -> None:
    with Bare() as bare:
        regs = bare.regs(CODE)
        regs.ax = -1
        regs.pc = 0x1_0000_0010
        assert (regs.ax, regs.pc) == (0xFFFFFFFF, 0x10)


def test_they_are_the_kernels() -> None:
    """For the type checker: what the machine hands to the kernel is what the kernel asks for."""
    with Bare() as bare:
        cpu: hw.Cpu = bare.cpu
        memory: hw.Memory = bare.memory
        regs: hw.Regs = cpu.newregs()
        assert isinstance(regs, Regs) and memory.size == 16 << 20


def test_fpu_state_is_saved_whatever_the_operands_address_was_made_of() -> None:
    """FLDL [BX+CX], whose sum is above 4 GB; the state that a note or a switch saves has room for 32 bits."""
    with Bare() as bare:
        bare.map(0x8000)
        bare.load(CODE, bytes.fromhex("d9040b cd40"))
        regs = bare.regs(CODE)
        regs.bx, regs.cx = 0xFFFF0000, 0x18000
        bare.run(regs)
        assert bare.traps[-1].trapno == 64
        assert struct.unpack_from("<I", regs.fpsave(), 16) == (0x8000,)
