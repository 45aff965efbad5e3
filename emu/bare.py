"""The plainest emulator that runs a guest: what the benchmarks are measured against.

Unicorn as a first program with it uses it: flat memory, pages mapped by the unmapped-memory hook, a
Python interrupt hook for system calls, registers read and written one by one. No page tables, no kernel.
"""

import struct
from collections.abc import Sequence
from typing import Any

from unicorn import UC_ARCH_X86, UC_HOOK_INTR, UC_HOOK_MEM_UNMAPPED, UC_MODE_32, Uc
from unicorn.x86_const import UC_X86_REG_EAX, UC_X86_REG_EIP, UC_X86_REG_ESP

from emu.aout import HDRSIZE, load

BY2PG = 4096
STKTOP = 0xDFFFF000
TOS = STKTOP - 56
EXITS, PWRITE = 8, 51


def run(path: str, args: Sequence[str]) -> None:
    """Run the a.out at path to its exits(). Calls it knows nothing of return 0."""
    a = load(path)
    with open(path, "rb") as f:
        image = f.read()
    uc = Uc(UC_ARCH_X86, UC_MODE_32)

    def absent(uc: Any, _access: int, addr: int, _size: int, _value: int, _data: object) -> bool:
        uc.mem_map(addr & ~(BY2PG - 1), BY2PG)
        return True

    def interrupt(uc: Any, _intno: int, _data: object) -> None:
        nr = uc.reg_read(UC_X86_REG_EAX)
        if nr == EXITS:
            uc.emu_stop()
        n = 0
        if nr == PWRITE:
            sp = uc.reg_read(UC_X86_REG_ESP)
            n = int.from_bytes(uc.mem_read(sp + 12, 4), "little")
        uc.reg_write(UC_X86_REG_EAX, n)

    uc.hook_add(UC_HOOK_MEM_UNMAPPED, absent)
    uc.hook_add(UC_HOOK_INTR, interrupt)
    text, data = a.segments[0], a.segments[1]
    uc.mem_map(text.base, text.top - text.base)
    uc.mem_write(text.base, image[: HDRSIZE + a.text])
    if data.top > data.base:
        uc.mem_map(data.base, data.top - data.base)
        uc.mem_write(data.base, image[HDRSIZE + a.text : HDRSIZE + a.text + a.data])
    uc.mem_map(STKTOP - 16 * BY2PG, 16 * BY2PG)
    words = [len(args) + 1]
    at = TOS
    for s in ("bare", *args):
        b = s.encode() + b"\0"
        at -= len(b)
        uc.mem_write(at, b)
        words.append(at)
    sp = (at - 4 * (len(words) + 1)) & ~15
    uc.mem_write(sp, struct.pack(f"<{len(words) + 1}I", *words, 0))
    uc.reg_write(UC_X86_REG_ESP, sp)
    uc.reg_write(UC_X86_REG_EAX, TOS)
    uc.reg_write(UC_X86_REG_EIP, a.entry)
    uc.emu_start(a.entry, 0)
