"""Guests that mean harm: they get Plan 9's answer, and the emulator stays whole."""

import random
import struct
from pathlib import Path

import pytest

from emu.machine.config import MachineError
from kernel.base.chandat import Chan
from kernel.base.event import SyscallEvent
from kernel.devices.devcons import Consdev
from tests.e2e.harness import machinecode, run

EXITS0 = bytes.fromhex("6a00 6a00 b808000000 cd40")  # exits(nil)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("0f0b", "sys: trap: invalid opcode"),  # ud2
        ("f1", "sys: trap: debug exception"),  # int1
        ("cd0e", "sys: trap: general protection violation"),  # int $14: no forged page fault
        ("cd08", "sys: trap: general protection violation"),
        ("cd80", "sys: trap: general protection violation"),
        ("cc", "sys: breakpoint"),
        ("0f34", "sys: trap: invalid opcode"),  # sysenter
        ("0f05", "sys: trap: invalid opcode"),  # syscall
        ("e460", "sys: trap: general protection violation"),  # in
        ("e660", "sys: trap: general protection violation"),  # out
        ("f4", "sys: trap: general protection violation"),  # hlt
        ("fa", "sys: trap: general protection violation"),  # cli
        ("0f20c0", "sys: trap: general protection violation"),  # mov eax, cr0
        ("0f22d8", "sys: trap: general protection violation"),  # mov cr3, eax
        ("0f01d8", "sys: trap: "),  # vmrun
        ("0f30", "sys: trap: general protection violation"),  # wrmsr
        ("31c0 f7f0", "sys: trap: divide error"),
        ("a1000000f0", "sys: trap: fault read addr=0xf0000000"),  # the kernel
        ("a3000000f0", "sys: trap: fault write addr=0xf0000000"),
        ("a10000c0ef", "sys: trap: fault read addr=0xefc00000"),  # the page tables
        ("b8000000e0 ffe0", "sys: trap: fault read addr=0xe0000000"),
    ],
)
def test_dies_of_the_right_trap(tmp_path: Path, code: str, text: str) -> None:
    for cpus in (1, 2):
        r = machinecode(tmp_path, bytes.fromhex(code) + EXITS0, cpus=cpus)
        assert r.outcome.status == 1
        assert r.outcome.exits.startswith(f"code 2: {text}")


@pytest.mark.parametrize("sp", [0, 4, 0x1000, 0xDFFFF000, 0xDFFFEFFC, 0xE0000000, 0xF0000000, 0xFFFFFFFC])
def test_system_call_with_a_wild_stack(tmp_path: Path, sp: int) -> None:
    code = b"\xbc" + struct.pack("<I", sp) + b"\xb8" + struct.pack("<I", 4) + b"\xcd\x40" + EXITS0
    r = machinecode(tmp_path, code)
    assert r.outcome.status == 1
    assert "sys: " in r.outcome.exits


def test_random_system_calls(tmp_path: Path) -> None:
    """Any number with any arguments: an error, a note or a death, never an accident of the emulator's."""
    rng = random.Random(14)
    interesting = (0, 1, 2, 4, 0x1000, 0x1020, 0x2000, 0x3000, 0x7FFFFFFF, 0x80000000, 0xDFFFE000, 0xDFFFEFFC,
                   0xE0000000, 0xF0000000, 0xFFFFFFFF, 0xFFFFF000)  # fmt: skip
    blocking = {6, 17, 34, 36, 37, 47, 52}
    for _ in range(40):
        code = b""
        for _ in range(12):
            nr = rng.choice([n for n in range(56) if n not in blocking and n != 8])
            args = [rng.choice(interesting) if rng.random() < 0.8 else rng.getrandbits(32) for _ in range(5)]
            if nr == 19:
                args[0] &= ~0x10  # no children
            for a in reversed(args):
                code += b"\x68" + struct.pack("<I", a)
            code += b"\x6a\x00\xb8" + struct.pack("<I", nr) + b"\xcd\x40\x83\xc4\x18"
        r = machinecode(tmp_path, code + EXITS0, bss=8192, timeout=20)
        assert r.outcome.status in (0, 1)


def test_the_whole_stack_and_one_byte_more(tmp_path: Path) -> None:
    # push in a loop
    r = machinecode(tmp_path, bytes.fromhex("50 ebfd"), memory=64 << 20, check=False)
    assert r.outcome.exits == "code 2: sys: trap: fault write addr=0xdeffeffc pc=0x00001020"


def test_more_memory_than_there_is() -> None:
    r = run("touch", "3000", memory=8 << 20)
    assert r.outcome.exits == "touch 2: Killed: Insufficient physical memory"
    assert r.outcome.status == 1


def test_nothing_of_the_host_is_there(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    secret = str(tmp_path / "secret")
    for name in (secret, "/etc/passwd", "/../etc/passwd", "#M/etc/passwd", "#M", "/bin/../../etc/passwd"):
        r = run("cat", name)
        assert r.outcome.status == 1
        assert r.stdout == ""


def test_rdtsc_is_virtual_time(tmp_path: Path) -> None:
    # rdtsc; mov [esp-64], eax; pwrite(1, esp-64, 4, -1)
    code = bytes.fromhex("0f31 894424c0 8d4424c0 6aff 6aff 6a04 50 6a01 6a00 b833000000 cd40") + EXITS0
    first = machinecode(tmp_path, code, trace=True)
    again = machinecode(tmp_path, code, trace=True)
    assert first.stdout == again.stdout
    assert sum(isinstance(e, SyscallEvent) for e in first.events) == 2


def test_a_kernel_stack_that_overflows(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(self: Consdev, c: Chan, n: int, offset: int) -> bytes:
        return self.read(c, n, offset)

    monkeypatch.setattr(Consdev, "read", read)
    with pytest.raises(MachineError, match=r"^panic: kernel stack overflow$"):
        run("cat", "#c/null")


@pytest.mark.parametrize("name", [b"#c/random", b"#c/zero"])
def test_a_read_of_more_than_memory_holds(tmp_path: Path, name: bytes) -> None:
    """What is read is made as it is stored, not all at once: there is more of it than a host may have."""
    n = 0x50000000

    def code(at: int) -> bytes:
        call = b"\x6a\x00\x68" + struct.pack("<I", at) + b"\x6a\x00\xb8" + struct.pack("<I", 14) + b"\xcd\x40"
        call += b"\x6a\xff\x6a\xff\x68" + struct.pack("<I", n) + b"\x68" + struct.pack("<I", 0x3000)
        return call + b"\x50\x6a\x00\xb8" + struct.pack("<I", 50) + b"\xcd\x40" + EXITS0

    r = machinecode(tmp_path, code(0x1020 + len(code(0))) + name + b"\0", bss=n + 8192, memory=8 << 20, check=False)
    assert r.outcome.exits == "code 2: Killed: Insufficient physical memory"


def test_pages_that_can_never_be_paged_out(tmp_path: Path) -> None:
    """One page in each page table: pageout never looks at a table's last entry, so the pager finds nothing."""
    # mov edi, 0x2000; mov ecx, 400; 1: mov [edi], ecx; add edi, 0x100000; loop 1b
    code = bytes.fromhex("bf00200000 b990010000 890f 81c700001000 e2f6") + EXITS0
    with pytest.raises(MachineError, match="no progress"):
        machinecode(tmp_path, code, bss=401 << 20, memory=4 << 20, swap=64 << 20, check=False)
