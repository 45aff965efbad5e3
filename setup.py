"""The one part of the build that pyproject.toml cannot say: extensions that may be left out."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        # -O2: the jump that _blockcount.c and _cmpxchg8b.c speak of
        Extension("emu._blockcount", ["emu/_blockcount.c"], optional=True, extra_compile_args=["-O2"]),
        Extension("emu._cmpxchg8b", ["emu/_cmpxchg8b.c"], optional=True, extra_compile_args=["-O2"]),
        Extension("emu._lock", ["emu/_lock.c"], optional=True, extra_compile_args=["-O2"]),
        Extension("emu._traphook", ["emu/_traphook.c"], optional=True),
        Extension("emu._mmu", ["emu/_mmu.c"], optional=True),
    ]
)
