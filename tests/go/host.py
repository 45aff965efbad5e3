"""Go's compiler in the guest against the same compiler on the host: one package, byte for byte the same object."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.go import tool


def compile_both(package: str, directory: Path, opts: str = "") -> tuple[bytes, bytes]:
    """The objects that cmd/compile makes of a package for plan9/386: on the host, and in the guest.

    Works in ``directory``, which must be empty.
    """
    here = directory / "source"
    out = directory / "out"
    here.mkdir()
    out.mkdir()
    compiler = directory / "compile"
    _must(tool.go("build", "-o", str(compiler), "cmd/compile"))
    listing = _must(tool.go("list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", package))
    config = []
    for line in listing.splitlines():
        name, _, export = line.partition(" ")
        if export and name != package:
            archive = name.replace("/", "_") + ".a"
            shutil.copy(export, here / archive)
            config.append(f"packagefile {name}={archive}\n")
    (here / "importcfg").write_text("".join(config))
    info = json.loads(_must(tool.go("list", "-json=Dir,GoFiles", package)))
    for name in info["GoFiles"]:
        shutil.copy(os.path.join(info["Dir"], name), here)
    flags = ["-p", package, "-complete", "-importcfg", "importcfg", "-pack"]
    host = _must(tool.go("tool", "-n", "compile", target={"GOOS": "", "GOARCH": ""})).strip()
    commands = {
        "host.a": [host],
        "guest.a": [os.path.join(tool.scripts(), "go_plan9_386_exec"), str(compiler)],
    }
    env = tool.environ(opts=f"--bind {out}:{out}:rw {opts}")
    for name, command in commands.items():
        subprocess.run([*command, *flags, "-o", str(out / name), *info["GoFiles"]], cwd=here, env=env, check=True)
    return (out / "host.a").read_bytes(), (out / "guest.a").read_bytes()


def _must(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout
