"""What of the build pyproject.toml cannot say: extensions that may be left out, and how a script begins.

With P9EMU_STRICT=1, as ``make`` sets it for tests, none may, and a warning is an error. Not for users: their compilers
may have warnings that ours has not.
"""

import os
import sys

from setuptools import Extension, setup

STRICT = os.environ.get("P9EMU_STRICT", "0") not in ("", "0")


def extension(name: str, room: str = "machine") -> Extension:
    """One file of C. -O2: the jump that _blockcount.c and _cmpxchg8b.c speak of."""
    return Extension(
        f"emu.{room}.{name}",
        [f"emu/{room}/{name}.c"],
        depends=["emu/machine/_module.h"],
        optional=not STRICT,
        extra_compile_args=["-O2", *(["-Wall", "-Wextra", "-Werror"] if STRICT else [])],
    )


NAMES = (
    "_blockcount",
    "_cmpxchg8b",
    "_faultflags",
    "_lock",
    "_lookup",
    "_traphook",
    "_mmu",
    "_references",
    "_probe",
    "_sleeper",
)

SCRIPT = "emu/cli/go_plan9_386_exec"
LONGEST = 127  # first line of a script, on some hosts


def script(interpreter: str) -> str:
    """The file to install, which is the one that is there wherever its first line can name the interpreter.

    pip writes that line without a thought for a space in it, or its length: then the shell is to begin.
    """
    if not any(c.isspace() for c in interpreter) and len(f"#!{interpreter}") <= LONGEST:
        return SCRIPT
    path = os.path.join("build", "named", os.path.basename(SCRIPT))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(SCRIPT) as own, open(path, "w") as f:
        own.readline()
        f.write(f"#!/bin/sh\n'''exec' \"{interpreter}\" \"$0\" \"$@\"\n' '''\n{own.read()}")
    return path


setup(
    scripts=[script(sys.executable)],
    ext_modules=[*(extension(name) for name in NAMES), extension("_jsonl", "observe")],
)
