"""Go's tests as a benchmark: the figures, and one package in earnest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest

from emu.bench import gotests
from emu.failure import Failure


def times(*seconds: float) -> Callable[[], float]:
    """A run that takes these, one after the other."""
    left = iter(seconds)
    return lambda: next(left)


def test_the_first_run_does_not_count() -> None:
    ours = {"a": times(9, 2, 4, 6), "b": times(9, 1, 1, 1)}
    theirs = {"a": times(9, 2, 2, 2), "b": times(9, 1, 1, 1)}
    a, b, total = gotests.table(ours, theirs, 3)
    assert (a.package, a.seconds, a.qemu, a.ratio, a.lowest, a.highest) == ("a", 4, 2, 2, 1, 3)
    assert (b.package, b.ratio) == ("b", 1)
    assert (total.package, total.seconds, total.qemu) == ("total", 5, 3)
    assert [total.ratio, total.lowest, total.highest] == pytest.approx([5 / 3, 1, 7 / 3])


def test_without_qemu_there_is_no_ratio() -> None:
    a, total = gotests.table({"a": times(9, 2)}, None, 1)
    assert (a.seconds, a.qemu, a.ratio) == (2, None, None)
    assert (total.seconds, total.qemu) == (2, None)


def test_a_package_is_built_and_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("P9EMU_OPTS", "--nonsense")
    hello, a, total = gotests.measure(1, ("errors",))
    assert (hello.package, a.package, total.package) == ("hello", "errors", "total")
    assert hello.seconds > 0
    assert a.seconds == total.seconds > 0, "the total is that of the packages"


def test_a_package_that_does_not_build() -> None:
    with pytest.raises(Failure, match="no/such"):
        gotests.measure(1, ("no/such",))


def test_a_run_that_fails_is_tried_again() -> None:
    results: Iterator[RuntimeError | float] = iter([RuntimeError("killed"), RuntimeError("killed"), 1.5])

    def run() -> float:
        r = next(results)
        if isinstance(r, RuntimeError):
            raise r
        return r

    assert gotests.retried(run)() == 1.5

    def never() -> float:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        gotests.retried(never)()
