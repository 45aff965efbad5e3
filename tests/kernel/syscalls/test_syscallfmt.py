"""System calls as /proc/n/syscall shows them."""

from __future__ import annotations

import struct

import pytest

from kernel.base.dat import BSEG, SG_BSS
from kernel.base.error import Error
from kernel.base.procdat import Proc
from kernel.memory.uaccess import ustore
from kernel.syscalls.syscallfmt import _FORM, SYSCTAB, syscallfmt, sysretfmt
from kernel.syscalls.systab import SYSTAB
from tests.kernel.plain import PlainKernel

AT = 0x10000
PATH, OTHER, ARGV, DATA = AT, AT + 0x100, AT + 0x200, AT + 0x300


@pytest.fixture
def up(kernel: PlainKernel) -> Proc:
    """The current process, with strings, an argument vector and data in its memory."""
    p = kernel.up
    assert p is not None
    kernel.segment(p, BSEG, SG_BSS, AT, 4)
    ustore(kernel, PATH, b"/a b\0")
    ustore(kernel, OTHER, b"caf\xc3\xa9\xff\0")
    ustore(kernel, ARGV, struct.pack("<3I", PATH, OTHER, 0))
    ustore(kernel, DATA, bytes(range(0x1E, 0x80)))
    p.text = "prog"
    return p


@pytest.mark.parametrize(
    ("nr", "args", "text"),
    [
        (0, (), "Running 2000 0x0"),
        (1, (PATH,), 'errstr 2000 0x10000/"/a b"'),
        (2, (PATH, OTHER, 5), 'Bind 2000 0x10000/"/a b" 0x10100/"café\ufffd" 0x5'),
        (3, (0,), 'Chdir 2000 0/""'),
        (4, (-1,), "Close 2000 -1"),
        (5, (3, -1), "Dup 2000 3 -1"),
        (6, (-1,), "Alarm 2000 4294967295 "),
        (7, (PATH, ARGV), 'Exec 2000 0x10000/"/a b" 0x10000/"/a b" 0x10100/"café\ufffd"'),
        (10, (3, PATH), 'Fauth 2000 30x10000/"/a b"'),
        (12, (AT, 0), "Segbrk 2000 0x10000 0x0"),
        (13, (3, PATH, 4, OTHER), '_mount 2000 3 0x10000/"/a b" 0x4 0x10100/"café\ufffd"'),
        (14, (PATH, 16), 'Open 2000 0x10000/"/a b" 0x10'),
        (15, (0, DATA, -2), "_read 2000 0 0x10300 -2"),
        (16, (1, 2, 0), "Oseek 2000 1 2 0"),
        (20, (1, DATA, 3), '_write 2000 1  0x10300/"..." 3'),
        (21, (AT,), "Pipe 2000 0x10000"),
        (22, (PATH, 1, 0o666), 'Create 2000 0x10000/"/a b" 0x1 0x1b6'),
        (23, (3, DATA, -1), "Fd2path 2000 3 0x10300 4294967295"),
        (24, (AT,), "Brk 2000 0x10000"),
        (30, (0, PATH, 0, 4096), 'Segattach 2000 0 0x10000/"/a b" 0x0 4096'),
        (34, (1, 2), "Rendez 2000 0x1 0x2"),
        (35, (0, PATH), 'Unmount 2000 0/"" 0x10000/"/a b"'),
        (37, (AT, 1), "Semacquire 2000 0x10000 1"),
        (39, (AT, 3, 0xFFFFFFFF, 0xFFFFFFFF, 1), "Seek 2000 0x10000 3 0xffffffffffffffff 1"),
        (40, (3, 8192, PATH, 20), 'Fversion 2000 3 8192 0x10000/"/a b" 20'),
        (46, (3, -1, PATH, 4, 0), 'Mount 2000 3 -1 0x10000/"/a b" 0x4 0/""'),
        (47, (DATA, 512), "Await 2000 0x10300 512"),
        (50, (0, DATA, 10, 0xFFFFFFFF, 0xFFFFFFFF), "Pread 2000 0 0x10300 10 -1"),
        (51, (1, DATA, 5, 7, 0), 'Pwrite 2000 1  0x10300/"...!"" 5 7'),
        (51, (1, 0, 0, 7, 0), "Pwrite 2000 1 0x0 0 7"),
        (51, (1, DATA + 3, 80, 0, 1), f'Pwrite 2000 1  0x10303/"{bytes(range(0x21, 0x61)).decode()}" 80 4294967296'),
        (52, (AT, -1), "Tsemacquire 2000 0x10000 -1"),
        (48, (), "huh? 2000 "),
        (54, (), " 54 2000 "),
        (0xFFFFFFFF, (), " 4294967295 2000 "),
    ],
)
def test_what_is_asked_for(kernel: PlainKernel, up: Proc, nr: int, args: tuple[int, ...], text: str) -> None:
    up.s = tuple([*(a & 0xFFFFFFFF for a in args), 0, 0, 0, 0, 0][:5])
    syscallfmt(kernel, up, nr, 0x2000)
    text = "_" + text if nr == 1 else text
    assert up.syscalltrace is not None
    assert up.syscalltrace.decode() == f"{up.pid} prog {text}"


@pytest.mark.parametrize(
    ("nr", "args", "ret", "text"),
    [
        (4, (3,), 0, ' = 0 ""'),
        (4, (3,), -1, " = -1 why"),
        (7, (PATH, ARGV), 0xDFFFEFC8, ' = 0xdfffefc8 ""'),
        (30, (0, PATH, 0, 0), -1, " = 0xffffffff why"),
        (47, (OTHER, 512), 6, '0x10100/"café\ufffd" 512 = 6 ""'),
        (47, (OTHER, 512), 0, '0x10100/"" 512 = 0 why'),
        (47, (OTHER, 512), -1, '0x10100/"café\ufffd" 512 = -1 ""'),
        (1, (PATH,), 0, '"" 64 = 0 why'),
        (41, (PATH, 128), 5, '0x10000/"/a b" 128 = 5 ""'),
        (23, (3, PATH, 100), 0, '"" 100 = 0 why'),
        (23, (3, PATH, 100), 4, '0x10000/"/a b" 100 = 4 ""'),
        (50, (0, DATA + 3, 10, 1, 0), 4, ' 0x10303/"!"#$" 10 1 = 4 ""'),
        (50, (0, DATA, 10, 1, 0), 0, '/"" 10 1 = 0 why'),
        (15, (0, DATA + 3, 10), 2, ' 0x10303/"!"" 10 = 2 ""'),
        (50, (0, 0x20, 10, 1, 0), -1, " = -1 why"),  # an address the original dies of
        (51, (0, DATA, 10, 1, 0), 10, ' = 10 ""'),
        (99, (), -1, " = -1 why"),
    ],
)
def test_what_came_of_it(kernel: PlainKernel, up: Proc, nr: int, args: tuple[int, ...], ret: int, text: str) -> None:
    up.s = tuple([*args, 0, 0, 0, 0, 0][:5])
    up.syserrstr = "why"
    up.nerrlab = 1
    sysretfmt(kernel, up, nr, ret & 0xFFFFFFFF, 17, 18)
    assert up.syscalltrace is not None
    assert up.syscalltrace.decode() == text + " 17 18\n"


def test_a_bad_address_is_the_callers_error(kernel: PlainKernel, up: Proc) -> None:
    up.s = (0x20, 0, 0, 0, 0)
    with pytest.raises(Error, match="bad arg in system call"):
        syscallfmt(kernel, up, 14, 0x2000)
    up.s = (1, DATA, 0xFFFFFFFF, 0, 0)
    with pytest.raises(Error, match="bad arg in system call"):
        syscallfmt(kernel, up, 51, 0x2000)


def test_every_call_has_its_form() -> None:
    assert set(_FORM) == {name for name in SYSCTAB if name is not None}
    for nr, call in SYSTAB.items():
        assert call.state == SYSCTAB[nr]
