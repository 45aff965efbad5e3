"""The one part of the build that pyproject.toml cannot say: extensions that may be left out.

With P9EMU_STRICT=1, as ``make`` sets it for tests, none may, and a warning is an error. Not for users: their compilers
may have warnings that ours has not.
"""

import os

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

setup(ext_modules=[*(extension(name) for name in NAMES), extension("_jsonl", "observe")])
