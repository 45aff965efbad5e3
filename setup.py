"""The one part of the build that pyproject.toml cannot say: extensions that may be left out."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        # -O2: the jump that _blockcount.c and _cmpxchg8b.c speak of
        Extension("emu.machine._blockcount", ["emu/machine/_blockcount.c"], optional=True, extra_compile_args=["-O2"]),
        Extension("emu.machine._cmpxchg8b", ["emu/machine/_cmpxchg8b.c"], optional=True, extra_compile_args=["-O2"]),
        Extension("emu.machine._lock", ["emu/machine/_lock.c"], optional=True, extra_compile_args=["-O2"]),
        Extension("emu.machine._traphook", ["emu/machine/_traphook.c"], optional=True),
        Extension("emu.machine._mmu", ["emu/machine/_mmu.c"], optional=True),
    ]
)
