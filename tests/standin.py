"""A small Plan 9 tree in the place of a distribution: bundled guests are its programs, tinyrc its rc."""

from __future__ import annotations

import shutil
from pathlib import Path

import guest

PROGRAMS = ("cat", "cons", "dirs", "echo", "false", "interrupt", "ns", "pwd", "true", "wc")
ZONE = "EST -18000 EDT -14400\n0\n"


def plan9(where: Path) -> Path:
    """Make the tree in a directory that is not there yet; the directory."""
    for d in ("386/bin/aux", "rc/bin", "rc/lib", "lib", "adm/timezone", "usr/glenda/bin/rc", "usr/glenda/lib"):
        (where / d).mkdir(parents=True)
    (where / "usr/glenda/tmp").mkdir()
    for name in PROGRAMS:
        shutil.copy(guest.path(name), where / "386/bin" / name)
    shutil.copy(guest.path("echo"), where / "386/bin/aux/say")
    shutil.copy(guest.path("tinyrc"), where / "386/bin/rc")
    (where / "rc/lib/rcmain").write_text("# tinyrc does without\n")
    (where / "adm/timezone/local").write_text(ZONE)
    (where / "lib/words").write_text("one\ntwo\nthree\n")
    for path, line in (("rc/bin/greet", "echo hello $*"), ("usr/glenda/bin/rc/mine", "echo this is mine")):
        (where / path).write_text(f"#!/bin/rc\n{line}\n")
        (where / path).chmod(0o755)
    return where
