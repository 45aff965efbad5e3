"""What the fixture p9 gives to a test."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from emu.api.machine import Kinds, Machine, Program
from emu.api.result import Result
from emu.machine.config import LimitError, LoadError
from emu.machine.repeat import commandline
from emu.machine.signals import TimeLimit
from emu.observe.filter import DEFAULT
from emu.testing import golden

TAIL: Final = 4000  # bytes of the guest's output in a report
KERNEL: Final = 20  # lines of the kernel's messages


class P9:
    """Runs guests for one test. Machines check the kernel's invariants unless told otherwise (``check=False``).

    ``options`` are those of the test's markers; a call's own come before them. Files are relative to ``here``, the
    directory of the test.
    """

    def __init__(self, here: Path, cache: Path, updating: bool, options: dict[str, Any]) -> None:
        self.here = here
        self.updating = updating
        self.options = {"check": True, **options}
        self._cache = cache
        self._machines: list[Machine] = []
        self._last: tuple[Machine, str, tuple[str, ...]] | None = None

    # Running

    def run(
        self, program: Program, *args: str, stdin: bytes | str = b"", events: Kinds = DEFAULT, **options: Any
    ) -> Result:
        """Run a bundled guest, a file beside the test, or what build made, to its end; as emu.run."""
        __tracebackhide__ = True
        with self.machine(stdin=stdin, **options) as m:
            return m.run(program, args, events=events)

    def run_c(self, source: str, *args: str, **options: Any) -> Result:
        """Compile a C program given as text, and run it."""
        __tracebackhide__ = True
        path = self._cache / "source" / _digest([source.encode()]) / "inline.c"
        if not path.exists():
            golden.write(path, source)
        return self.run(self.build(path), *args, **options)

    def machine(self, **options: Any) -> Machine:
        """A machine, to be looked at while it runs. It is closed when the test ends."""
        __tracebackhide__ = True
        try:
            m = _Machine(self, **{**self.options, **options})
        except (TypeError, ValueError) as e:
            raise e.with_traceback(None) from None
        self._machines.append(m)
        return m

    def seeds(self, n: int, **options: Any) -> Iterator[P9]:
        """This fixture for n seeds in turn, with the exploring scheduler; when the test fails it tells the command
        that repeats the last run.
        """
        for seed in range(n):
            yield P9Seed(self, {"sched": "random", **self.options, **options, "seed": seed})

    # Files

    def build(self, *files: str | os.PathLike[str]) -> Path:
        """The a.out of C and assembly files, compiled with the library (guest.h). Made once in a session.

        A compiler's error fails the test, with what the compiler said.
        """
        from guest.build import BuildError, program

        paths = [self.here / f for f in files]
        for path in paths:
            if not path.is_file():
                pytest.fail(f"{path}: no such source", pytrace=False)
        headers = sorted({h for p in paths for h in p.parent.glob("*.h")})
        key = _digest([part for p in (*paths, *headers) for part in (p.name.encode(), p.read_bytes())])
        made = self._cache / key / paths[0].stem
        if not made.exists():
            said = ""
            try:
                image = program(made.name, [Path(os.path.relpath(p, paths[0].parent)) for p in paths], paths[0].parent)
            except BuildError as e:
                said = str(e)
            if said:
                pytest.fail(said, pytrace=False)
            made.parent.mkdir(parents=True, exist_ok=True)
            fd, name = tempfile.mkstemp(dir=made.parent)
            with open(fd, "wb") as f:
                f.write(image)
            os.chmod(name, 0o755)
            os.replace(name, made)
        return made

    def golden(self, name: str, value: Result | str | bytes) -> None:
        """Fail unless ``value`` is what golden/NAME beside the test holds; of a result it is the trace as text.

        With --p9emu-update, or P9EMU_UPDATE=1, the file is written.
        """
        text = value.trace() if isinstance(value, Result) else value
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        wrong = golden.compare(self.here / "golden" / name, text, self.updating)
        if wrong:
            pytest.fail(wrong, pytrace=False)

    # The plugin's side

    def close(self) -> None:
        """Close the machines."""
        for m in self._machines:
            m.close()

    def began(self, machine: Machine, program: Program, args: tuple[str, ...]) -> None:
        """A machine runs: it is the one to tell of when the test fails."""
        path = self.here / program
        self._last = machine, str(path) if path.is_file() else os.fspath(program), args

    def find(self, program: Program) -> Program:
        """What a program's name means here: a file beside the test if there is one."""
        path = self.here / program
        return path if path.is_file() else program

    def sections(self) -> list[tuple[str, str]]:
        """Titles and texts that tell of the last run."""
        if self._last is None:
            return []
        m, program, args = self._last
        told = [(f"p9emu: again, seed {m.config.seed}", commandline(m.config, program, args))]
        if m.result is not None and m.result.status:
            told.append(("p9emu: exit", f"status {m.result.status}: {m.result.exits}"))
        for name, data in (("stdout", m.stdout), ("stderr", m.stderr)):
            if data:
                told.append((f"p9emu: guest's {name}", data[-TAIL:].decode("utf-8", "backslashreplace")))
        if m.messages:
            told.append(("p9emu: messages", "\n".join(m.messages)))
        if m.dump:
            told.append(("p9emu: processes", m.dump))
        if m.kmesg:
            told.append(("p9emu: kernel's messages", "\n".join(m.kmesg.splitlines()[-KERNEL:])))
        return told


class P9Seed(P9):
    """The fixture with one seed."""

    def __init__(self, parent: P9, options: dict[str, Any]) -> None:
        super().__init__(parent.here, parent._cache, parent.updating, options)
        self.seed: int = options["seed"]
        self._parent = parent
        self._machines = parent._machines

    def began(self, machine: Machine, program: Program, args: tuple[str, ...]) -> None:
        """A machine runs."""
        self._parent.began(machine, program, args)


class _Machine(Machine):
    """A machine that tells the fixture what it runs."""

    def __init__(self, p9: P9, **options: Any) -> None:
        super().__init__(**options)
        self._p9 = p9

    def run(self, program: Program, args: Sequence[str] = (), *, events: Kinds = DEFAULT) -> Result:
        """Run it; as Machine.run, but that a failure of the caller's is shown where he called."""
        __tracebackhide__ = True
        try:
            return super().run(program, args, events=events)
        except (LoadError, TimeLimit, LimitError) as e:
            raise e.with_traceback(None) from None

    def _begin(self, program: Program, args: tuple[str, ...]) -> Program:
        self._p9.began(self, program, args)
        return super()._begin(self._p9.find(program), args)


def _digest(parts: list[bytes]) -> str:
    sha = hashlib.sha256()
    for part in parts:
        sha.update(len(part).to_bytes(8, "little") + part)
    return sha.hexdigest()[:16]
