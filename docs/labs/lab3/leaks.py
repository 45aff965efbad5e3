"""Kernels that forget pages. To read on is to know the answer: the lab is about finding it with what p9emu shows."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager

from kernel.memory.fault import fixfault
from kernel.memory.page import freepte, ptecpy

LEAKS = {
    1: (fixfault, "                putpage(k, old)\n", ""),
    2: (freepte, "range(p.first, p.last + 1)", "range(p.first, p.last)"),
    3: (ptecpy, "                incref(k, e)\n", "                incref(k, e)\n                incref(k, e)\n"),
}


@contextmanager
def leak(number: int) -> Iterator[None]:
    """While it lasts, all machines have a kernel with this leak; number 0 has none."""
    if number == 0:
        yield
        return
    function, right, wrong = LEAKS[number]
    source = inspect.getsource(function)
    assert source.count(right) == 1
    names: dict[str, object] = {}
    exec("from __future__ import annotations\n" + source.replace(right, wrong), dict(function.__globals__), names)
    code, function.__code__ = function.__code__, names[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = code


if __name__ == "__main__":  # python leaks.py NUMBER COMMAND...: p9emu's command with such a kernel
    import sys

    from emu.cli import main

    with leak(int(sys.argv.pop(1))):
        main()
