"""p9emu info, disasm, guests and bench; --help and --version."""

import dataclasses
import json
import sys
import types
from pathlib import Path
from typing import Any

import click
import pytest

from emu.cli.commands import cli
from emu.cli.headings import SECTIONS, SHARED
from tests.emu.cli.faked import oneline, p9emu
from tests.emu.program.test_aout import image


def test_info(prog: str) -> None:
    result = p9emu("info", prog)
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0][1:] == ["Plan", "9", "386", "executable"]
    assert ["entry", "0x00001020", "_main"] in rows
    assert ["symbols", "6,", "3", "text,", "1", "data"] in rows
    assert ["text", "0x00001000", "0x00002000", "1", "0", "46"] in rows
    assert ["bss", "0x00003000", "0x00004000", "1", "-", "-"] in rows


def test_info_as_json(prog: str) -> None:
    result = p9emu("info", "--format", "json", prog)
    obj = json.loads(result.stdout)
    assert (obj["v"], obj["path"], obj["machine"], obj["entry"]) == (1, prog, "386", 0x1020)
    assert obj["symbols"] == {"total": 6, "text": 3, "data": 1}
    assert obj["segments"][1] == {
        "name": "data", "base": 0x2000, "top": 0x3000, "pages": 1, "file_offset": 46, "file_bytes": 4,
    }  # fmt: skip


def test_info_tells_of_a_damaged_symbol_table(tmp_path: Path) -> None:
    (tmp_path / "prog").write_bytes(image(syms=b"", nsyms=100))
    assert "cut short or damaged" in p9emu("info", str(tmp_path / "prog")).stdout


@pytest.mark.parametrize("command", ["info", "disasm"])
def test_no_executable(tmp_path: Path, command: str) -> None:
    assert "no such file" in oneline(p9emu(command, str(tmp_path / "nosuch")), 127)
    assert "is a directory" in oneline(p9emu(command, str(tmp_path)), 126)


def test_disasm(prog: str) -> None:
    whole = p9emu("disasm", prog).stdout.splitlines()
    assert whole[0] == "_main:"
    assert whole[1].endswith("call    0x1026 <f>")
    one = p9emu("disasm", prog, "f").stdout.splitlines()
    assert one == whole[whole.index("f:") :]


def test_disasm_of_an_unknown_symbol(prog: str) -> None:
    assert oneline(p9emu("disasm", prog, "nosuch"), 1) == f"{prog}: no function called nosuch"


@dataclasses.dataclass(frozen=True)
class Guest:
    name: str
    synopsis: str
    description: str


@pytest.fixture
def guests(monkeypatch: pytest.MonkeyPatch, prog: str) -> None:
    """Two bundled programs in place of the real ones."""
    module: Any = types.ModuleType("guest")
    module.guests = lambda: [Guest("hello", "hello", "say so"), Guest("touch", "touch N", "write N\n\npages")]
    module.path = lambda name: prog
    monkeypatch.setitem(sys.modules, "guest", module)


def test_guests(guests: None) -> None:
    assert p9emu("guests").stdout == "hello  hello\ntouch  touch N\n"
    assert p9emu("guests", "-v").stdout == "hello: hello\n    say so\n\ntouch: touch N\n    write N\n\n    pages\n"
    obj = json.loads(p9emu("guests", "--format", "json").stdout)
    assert obj["guests"][0] == {"name": "hello", "synopsis": "hello", "description": "say so"}


def test_a_bundled_name_means_its_file(
    guests: None, prog: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert p9emu("info", "touch").stdout.startswith(f"{prog}: ")
    oneline(p9emu("info", "nosuch"), 127)
    oneline(p9emu("info", "./touch"), 127)
    Path("touch").write_bytes(b"#!/bin/rc\n")
    assert "script" in oneline(p9emu("info", "touch"), 126), "a file that is there comes first"


def test_plain_paging_is_for_one_processor() -> None:
    assert "one processor" in oneline(p9emu("run", "--mmu", "plain", "--cpus", "2", "true"), 2)


def test_bench_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    module: Any = types.ModuleType("emu.bench.suite")
    module.main = lambda *args: calls.append(args)
    monkeypatch.setitem(sys.modules, "emu.bench.suite", module)
    assert p9emu("bench", "--quick", "--format", "json").exit_code == 0
    assert p9emu("bench", "--curves", "--plot", "d", "--go").exit_code == 0
    assert p9emu("bench", "--full").exit_code == 0
    assert calls == [
        (True, "json", False, None, False, False),
        (False, "text", True, "d", True, False),
        (False, "text", False, None, False, True),
    ]
    assert "exclude each other" in oneline(p9emu("bench", "--full", "--quick"), 2)


def test_bench_without_an_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("emu.bench.plot.find_spec", lambda name: None)
    monkeypatch.setattr("emu.bench.gotests.shutil.which", lambda name: None)
    monkeypatch.setattr("emu.bench.gotests.os.access", lambda path, mode: False)
    assert "install p9emu[plots]" in oneline(p9emu("bench", "--plot", str(tmp_path / "d")), 1)
    assert "install p9emu[go]" in oneline(p9emu("bench", "--go"), 1)
    assert list(tmp_path.iterdir()) == [], "nothing was begun"


def test_bench_cannot_make_its_directory(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    oneline(p9emu("bench", "--plot", str(tmp_path / "f" / "d")), 125)


# --help and --version


@pytest.mark.parametrize("command", ["run", "trace", "info", "disasm", "guests", "bench"])
def test_help(command: str) -> None:
    for option in ("--help", "-h"):
        result = p9emu(command, option)
        assert (result.exit_code, result.stderr) == (0, "")
        assert f"p9emu {command}" in result.stdout
        assert "Example" in result.stdout
    if command not in ("guests", "bench"):
        assert "Exit status" in result.stdout


def test_help_of_p9emu() -> None:
    result = p9emu("--help")
    for word in ("run", "trace", "info", "disasm", "guests", "bench", "Examples:", "Exit status", "--version"):
        assert word in result.stdout


def test_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.2.3")
    assert p9emu("--version").stdout == "p9emu 1.2.3\n"


def test_version_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError

    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", version)
    assert p9emu("--version").stdout == "p9emu (not installed)\n"


def test_variants() -> None:
    lines = p9emu("variants").stdout.splitlines()
    assert any(line.startswith("--fix 3af236b5e  2015-08-09 R   chan.c, pgrp.c: cunmount closes") for line in lines)
    assert any(line.startswith("--original putpage    erratum 23 R   page.c: ") for line in lines)
    obj = json.loads(p9emu("variants", "--format", "json").stdout)
    assert [r["name"] for r in obj["fixes"]] == [line.split()[1] for line in lines if line.startswith("--fix ")]
    assert obj["originals"][0].keys() == {"name", "when", "file", "kind", "what"}


@pytest.mark.parametrize(("option", "known"), [("--fix", "3af236b5e"), ("--original", "putpage")])
def test_a_variant_that_is_none_is_wrong_usage(option: str, known: str) -> None:
    assert known in oneline(p9emu("run", option, "nosuch", "hello"), 2)


# Headings of --help


def test_every_command_has_its_heading_once() -> None:
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(cli.commands)


def test_every_option_that_is_shared_has_its_heading_once() -> None:
    listed = [opt for opts in SHARED.values() for opt in opts]
    assert sorted(listed) == sorted(o.opts[-1] for o in cli.commands["run"].params if isinstance(o, click.Option))


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_options_are_told_with_our_own_words(name: str) -> None:
    said = p9emu(name, "--help").stdout
    assert not [word for word in ("INTEGER", "FLOAT", "TEXT", "FILENAME") if f" {word}" in said]


def test_a_commands_own_options_come_first() -> None:
    said = p9emu("trace", "--help").stdout
    where = [said.index(words) for words in ("\nOptions:\n", "--output", "--help", *(f"\n{h}:\n" for h in SHARED))]
    assert where == sorted(where)
    assert "\nMachine:\n" not in p9emu("info", "--help").stdout
