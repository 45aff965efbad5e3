"""Golden files: text beside the test that has to come out again."""

from __future__ import annotations

import difflib
import os
import tempfile
from pathlib import Path
from typing import Final

SCHEMA: Final = 1
HEAD: Final = "# p9emu golden, schema "
AGAIN: Final = "--p9emu-update writes it anew"


def compare(path: Path, text: str, update: bool) -> str:
    """What is wrong, "" if the file holds that text below its header; with ``update`` it is written.

    The file is written in one piece: another worker may write the same.
    """
    if not text.endswith("\n"):
        text += "\n"
    try:
        if path.exists() and not path.is_file():  # a FIFO would be waited for
            return f"{shown(path)}: is {'a directory' if path.is_dir() else 'no regular file'}, not a golden file"
        if update:
            write(path, f"{HEAD}{SCHEMA}\n{text}")
            return ""
        head, _, kept = path.read_text("utf-8", "surrogateescape").partition("\n")
    except FileNotFoundError:
        return f"{shown(path)}: there is no such golden file; --p9emu-update makes it"
    except (OSError, ValueError) as e:
        return f"{shown(path)}: {getattr(e, 'strerror', None) or e}"
    if head != f"{HEAD}{SCHEMA}":
        has = f"schema {head.removeprefix(HEAD)}" if head.startswith(HEAD) else "no header"
        return f"{shown(path)}: the golden file has {has}, this p9emu needs schema {SCHEMA}; {AGAIN}"
    if kept == text:
        return ""
    diff = difflib.unified_diff(kept.splitlines(), text.splitlines(), f"golden {path.name}", "this run", lineterm="")
    return "\n".join([f"{shown(path)}: not as it was; {AGAIN}", *diff])


def shown(path: Path) -> str:
    """The path from the current directory, if it lies below that."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def write(path: Path, text: str) -> None:
    """Make or replace a file, all of it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(fd, "w", encoding="utf-8", errors="surrogateescape", newline="") as f:
            f.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
