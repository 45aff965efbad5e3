"""The side of the real processor: host.c, built and run."""

import os
import platform
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.emu.differential.layout import DATA, FXUSED, PAGE, READONLY, STACK, Case, Result, contents

SOURCE: Final = Path(__file__).with_name("host.c")
# Out of the way of the pages of the sequences, without a library
FLAGS: Final = (
    *("-target", "x86-linux-none", "-mcpu=pentium", "-O1", "-nostdlib", "-ffreestanding", "-fno-builtin", "-static"),
    *("-fno-pic", "-fno-stack-protector", "-fno-sanitize=all", "-Wall", "-Wextra", "-Werror"),
    "-Wl,--image-base=0x60000000",
)
INPUT: Final = struct.Struct("<8I3I256s512s")  # struct input of host.c
OUTPUT: Final = struct.Struct(f"<5I8II{FXUSED}s")  # struct output
PAGES: Final = (DATA, DATA + PAGE, READONLY, STACK)


def build(directory: Path) -> Path | None:
    """The program; None where this computer cannot run it."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return None
    program = directory / "host"
    env = dict(os.environ, ZIG_GLOBAL_CACHE_DIR=str(directory / "zig"), ZIG_LOCAL_CACHE_DIR=str(directory / "zig"))
    subprocess.run([sys.executable, "-m", "ziglang", "cc", *FLAGS, SOURCE, "-o", program], check=True, env=env)
    try:
        run(program, [])
    except OSError:  # the kernel runs no 32-bit programs
        return None
    except subprocess.CalledProcessError:  # or cannot confine them
        return None
    return program


def run(program: Path, cases: Sequence[Case]) -> list[Result]:
    """What this computer's processor does with the cases."""
    memory = contents()
    with tempfile.TemporaryFile() as f:
        f.write(b"".join(memory[va] for va in PAGES))
        for case in cases:
            f.write(INPUT.pack(*case.registers, case.flags, case.pc, len(case.code), case.code, case.fx))
        f.seek(0)
        out = subprocess.run([program], stdin=f, capture_output=True, check=True, timeout=600).stdout
    results = list(parse(out))
    assert len(results) == len(cases)
    return results


def parse(out: bytes) -> Iterator[Result]:
    """Results as host.c writes them."""
    at = 0
    while at < len(out):
        trapno, ecode, addr, pc, flags, *registers, changed, fx = OUTPUT.unpack_from(out, at)
        at += OUTPUT.size
        result = Result(trapno, ecode & 7 if trapno == 14 else ecode, addr, pc, flags, tuple(registers), fx)
        for i, va in enumerate(PAGES):
            if changed >> i & 1:
                result.memory[va] = out[at : at + PAGE]
                at += PAGE
        yield result
