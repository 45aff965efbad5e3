"""The documentation is true: what it shows is run, what there is is named, what it links to exists.

A fenced block marked ``console`` holds commands, lines that begin with ``$ ``, and what they print: standard output
and standard error together. A line ``...`` stands for any lines; a command with nothing below it may print what it
likes. ``# status N`` at a command's end is its exit status, 0 if it is not told. The commands of a block run one
after the other in a directory that has links to docs/, guest/ and tests/, and in labs.md the labs themselves. Where
the document has shown files before, blocks of a language whose first line is a comment with a file's name, it has
these instead of links. Ports of the host's from 18080 to 18089 are others that are free.

A block marked ``console tree`` needs the tree of a Plan 9 distribution, ``$TREE``. It is run if P9EMU_TREE names one
(9front's, whose output is shown); without, and in a ``yaml`` block, only the options of p9emu's commands are tried.

A block marked ``python`` with prompts, ``>>>``, is run by doctest, all of a document in one go; ``...`` in output
stands for any text. Other blocks marked so are files.

``P9EMU_UPDATE=1 python -m pytest tests/test_docs.py`` writes the output anew, around the ``...`` that are there.
"""

from __future__ import annotations

import difflib
import doctest
import fcntl
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from emu.bench.curves import CASES
from emu.cli.commands import cli
from guest.catalog import CATALOG
from kernel.base.event import Event
from kernel.syscalls.systab import SYSTAB
from tests import benchdocs, pictures
from tests.standin import plan9

ROOT = Path(__file__).resolve().parent.parent
DOCS = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
UPDATE = os.environ.get("P9EMU_UPDATE", "") == "1"

# Commands that are shown and not run here, with the reason. Each must be shown somewhere.
EXEMPT = {
    "make demo": "sets up a virtual environment; its two commands are run from docs/trace.md",
    "make test": "is what continuous integration runs, this test with it",
    "make lint": "is a part of make test",
    "make quick": "is a part of make test",
    "make guests": "writes into guest/bin; tests/guest rebuilds the programs and compares",
    "p9emu judge docs/chains.patch": "takes a minute or two; a part of it is run below it",
    "p9emu bench --pagecache": "takes a minute; tests/emu/bench/test_pagecaches.py measures each of its tables",
    "p9emu bench": "its figures are this host's; bench --quick is run",
    "make bench-docs": "takes half an hour, and writes docs/performance.md",
    "python3 -m venv p9": "belongs to the installation, which needs the network",
    "p9/bin/pip install .": "needs the network",
    "p9/bin/p9emu run hello": "runs what was installed, which needs the network",
    "make go-test": "takes a quarter of an hour; tests/go runs a part of it",
    "make go-soak": "takes half an hour; tests/go runs a part of it",
    "make go-std": "takes an hour, and writes docs/go.md",
    "python -m guest.build": "writes into guest/bin; tests/guest rebuilds the programs and compares",
    "python -m guest.build --check": "compiles all programs; tests/guest does the same",
    "python -m pytest": "would run this test again",
    "P9EMU_UPDATE=1 python -m pytest tests/test_docs.py": "would run this test again, and write",
}

# What an installation without a C compiler says in each run.
SLOWER = "p9emu: the block counter is in Python"

PORT = re.compile(r"\b1808[0-9]\b")
STATUS = re.compile(r"\s+# status (\d+)$")
SYMBOL = re.compile(r"`((?:emu|guest|kernel|tests)/[\w/]+\.(?:py|c|h|S|ld))(?::([\w.]+))?`")
IMAGE = re.compile(r"!\[[^\]]+\]\(([^)\s]+)\)")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FILE = re.compile(r"(?:#|//|/\*) ([\w.-]+\.(?:py|c|S|h))\b")
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")


@dataclass
class Shown:
    """A command of a document, the output below it, and the lines (from 0) where that stands."""

    line: int
    text: str
    output: list[str]

    @property
    def command(self) -> str:
        """What is typed."""
        return STATUS.sub("", self.text)

    @property
    def status(self) -> int:
        """The exit status that is told."""
        m = STATUS.search(self.text)
        return int(m[1]) if m else 0


@dataclass
class Block:
    """The n-th console block of a document, and the files that are shown above it."""

    doc: Path
    n: int
    line: int
    commands: list[Shown]
    files: dict[str, str]
    tree: bool = False

    def __str__(self) -> str:
        return f"{self.doc.relative_to(ROOT)}:{self.line + 1}"


def blocks(doc: Path) -> Iterator[Block]:
    """The console blocks of a document, in order."""
    block: Block | None = None
    n = 0
    files: dict[str, str] = {}
    shown: list[str] | None = None  # of a file
    for i, line in enumerate(doc.read_text().splitlines()):
        if shown is not None:
            if line == "```":
                if shown and (m := FILE.match(shown[0])):
                    files[m[1]] = "\n".join(shown) + "\n"
                shown = None
            else:
                shown.append(line)
        elif block is None:
            if line in ("```console", "```console tree"):
                block = Block(doc, n, i, [], dict(files), line.endswith(" tree"))
                n += 1
            elif line.startswith("```"):
                shown = []
        elif line == "```":
            yield block
            block = None
        elif line.startswith("$ "):
            block.commands.append(Shown(i, line[2:], []))
        else:
            assert block.commands, f"{doc.name}:{i + 1}: output before any command"
            block.commands[-1].output.append(line)
    assert block is None, f"{doc.name}: a block does not end"


TREE = os.environ.get("P9EMU_TREE", "")
BLOCKS = [b for doc in DOCS for b in blocks(doc)]
RUN = [b for b in BLOCKS if any(c.command not in EXEMPT for c in b.commands) and (TREE or not b.tree)]


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the commands p9emu, python, python3 and go_plan9_386_exec, which run this tree, and go."""
    where = tmp_path_factory.mktemp("bin")
    python = shlex.quote(sys.executable)
    scripts = sysconfig.get_path("scripts")
    gocache = subprocess.run([f"{scripts}/go", "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout
    go = f"env GOTOOLCHAIN=local GOCACHE={shlex.quote(gocache.strip())} {shlex.quote(f'{scripts}/go')}"
    goexec = f'{python} -c "from emu.cli.go import main; main()"'
    for name, words in (
        ("p9emu", f"{python} -m emu"),
        ("python", python),
        ("python3", python),
        ("pytest", f"{python} -m pytest"),
        ("go", go),
        ("go_plan9_386_exec", goexec),
    ):
        tool = where / name
        tool.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {words} "$@"\n')
        tool.chmod(0o755)
    return where


def execute(command: str, tools: Path, cwd: Path) -> tuple[int, list[str]]:
    """Exit status and lines of output of a command."""
    env = {
        "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(cwd),
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
        "COLUMNS": "100",
        "TREE": TREE,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    lines = done.stdout.decode().splitlines()
    return done.returncode, [line.rstrip() for line in lines if not line.startswith(SLOWER)]


def pieces(shown: list[str]) -> list[list[str]]:
    """The runs of lines between the ``...``; n of these make n+1 pieces, of which some may be empty."""
    out: list[list[str]] = [[]]
    for line in shown:
        if line.strip() == "...":
            out.append([])
        else:
            out[-1].append(line)
    return out


def agrees(shown: list[str], actual: list[str]) -> bool:
    """Whether the output is what is shown."""
    first, *rest = pieces(shown)
    if not rest:
        return first == actual
    last = rest.pop()
    if len(actual) < len(first) + len(last) or actual[: len(first)] != first:
        return False
    end = len(actual) - len(last)
    if actual[end:] != last:
        return False
    at = len(first)
    for piece in rest:
        while at + len(piece) <= end and actual[at : at + len(piece)] != piece:
            at += 1
        if at + len(piece) > end:
            return False
        at += len(piece)
    return True


def renewed(shown: list[str], actual: list[str]) -> list[str]:
    """What to show of the output: each piece that was shown where it fits best, with ``...`` between."""
    if agrees(shown, actual):
        return shown
    first, *rest = pieces(shown)
    if not rest:
        return actual
    last = rest.pop()
    out = actual[: len(first)]
    at, end = len(first), max(len(actual) - len(last), len(first))
    for piece in rest:

        def likeness(i: int, piece: list[str] = piece) -> float:
            return sum(
                difflib.SequenceMatcher(None, a, b).ratio()
                for a, b in zip(piece, actual[i : i + len(piece)], strict=True)
            )

        best = max(range(at, max(end - len(piece), at) + 1), key=likeness)
        out += ["...", *actual[best : best + len(piece)]]
        at = best + len(piece)
    return [*out, "...", *actual[end:]]


def rewrite(block: Block, outputs: dict[int, list[str]]) -> None:
    """Put these outputs under the commands of a block of a document that others may be writing too."""
    with block.doc.open("r+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        now = next(b for b in blocks(block.doc) if b.n == block.n)
        lines = f.read().splitlines()
        for i, shown in reversed(list(enumerate(now.commands))):
            if i in outputs:
                start = shown.line + 1
                lines[start : start + len(shown.output)] = outputs[i]
        f.seek(0)
        f.write("\n".join(lines) + "\n")
        f.truncate()


class Ports:
    """Free ports of the host's in the place of those that a block shows."""

    def __init__(self, block: Block) -> None:
        shown = sorted({port for c in block.commands for port in PORT.findall(c.text)})
        with ExitStack() as stack:
            socks = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in shown]
            self.used = {port: str(s.getsockname()[1]) for port, s in zip(shown, socks, strict=True)}

    def use(self, command: str) -> str:
        """The command as it is run."""
        return PORT.sub(lambda m: self.used[m[0]], command)

    def show(self, lines: list[str]) -> list[str]:
        """What it printed as the document has it."""
        for shown, used in self.used.items():
            lines = [re.sub(rf"\b{used}\b", shown, line) for line in lines]
        return lines


def marked(block: Block) -> Any:
    """A block with a command of gdb's needs that."""
    real = any(c.command.startswith("gdb ") for c in block.commands)
    return pytest.param(block, id=str(block), marks=[pytest.mark.gdb] if real else [])


@pytest.mark.parametrize("block", [marked(b) for b in RUN])
def test_commands_do_what_is_shown(block: Block, tools: Path, tmp_path: Path) -> None:
    for name in () if block.files else ("docs", "guest", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    if block.doc.name == "labs.md":
        shutil.copytree(ROOT / "docs" / "labs", tmp_path, dirs_exist_ok=True)
    for name, text in block.files.items():
        (tmp_path / name).write_text(text)
    plan9(tmp_path / "plan9")
    outputs: dict[int, list[str]] = {}
    ports = Ports(block)
    for i, shown in enumerate(block.commands):
        if shown.command in EXEMPT:
            continue
        status, actual = execute(ports.use(shown.command), tools, tmp_path)
        actual = ports.show(actual)
        assert status == shown.status, f"{block}: $ {shown.command}\n" + "\n".join(actual)
        if not shown.output:
            continue
        if UPDATE:
            outputs[i] = renewed(shown.output, actual)
        elif not agrees(shown.output, actual):
            diff = "\n".join(difflib.unified_diff(shown.output, actual, "shown", "actual", lineterm=""))
            pytest.fail(f"{block}: $ {shown.command}\n{diff}\n(P9EMU_UPDATE=1 writes it anew)")
    if UPDATE:
        rewrite(block, outputs)


class Runner(doctest.DocTestRunner):
    """Keeps what examples print that print something else than is shown."""

    def __init__(self) -> None:
        super().__init__(verbose=False, optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
        self.got: list[tuple[doctest.Example, str]] = []

    def report_failure(self, _out: object, _test: object, example: doctest.Example, got: str) -> None:
        """Instead of printing it."""
        self.got.append((example, got))

    def report_unexpected_exception(self, _out: object, _test: object, example: doctest.Example, exc: Any) -> None:
        """Likewise."""
        self.got.append((example, f"Traceback (most recent call last):\n{exc[0].__name__}: {exc[1]}\n"))


@pytest.mark.parametrize("doc", [d for d in DOCS if ">>>" in d.read_text()], ids=lambda d: d.name)
def test_python_does_what_is_shown(doc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = doc.read_text()
    kept = "".join(m[0] if ">>>" in m[1] else "" for m in PYTHON.finditer(text))
    assert kept
    lines = [""] * text.count("\n")
    for m in PYTHON.finditer(text):
        if ">>>" in m[1]:
            at = text[: m.start(1)].count("\n")
            lines[at : at + m[1].count("\n")] = m[1].splitlines()
    test = doctest.DocTestParser().get_doctest("\n".join(lines) + "\n", {}, doc.name, str(doc), 0)
    monkeypatch.chdir(tmp_path)
    runner = Runner()
    runner.run(test)
    if UPDATE:
        new = text.splitlines()
        for example, got in reversed(runner.got):
            at = example.lineno + example.source.count("\n")
            new[at : at + example.want.count("\n")] = [line or "<BLANKLINE>" for line in got.splitlines()]
        doc.write_text("\n".join(new) + "\n")
        return
    wrong = [f"{doc.name}:{e.lineno + 1}: {e.source}shown:\n{e.want}got:\n{got}" for e, got in runner.got]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("doc", DOCS, ids=lambda d: d.name)
def test_every_block_of_python_is_run_or_a_file(doc: Path) -> None:
    for m in PYTHON.finditer(doc.read_text()):
        assert ">>>" in m[1] or FILE.match(m[1]), m[1]


def unrun() -> Iterator[str]:
    """The commands of p9emu that are run with a tree alone, or by others: with its place in the name's stead."""
    for b in BLOCKS:
        yield from (c.command for c in b.commands if b.tree)
    for doc in DOCS:
        for text in re.findall(r"^```yaml$(.*?)^```$", doc.read_text(), flags=re.MULTILINE | re.DOTALL):
            yield from re.findall(r"^ *- run: (.*)$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("command", [c for c in unrun() if c.startswith("p9emu ")])
def test_commands_that_are_not_run_have_options_that_exist(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for shown in re.findall(r"--bind (\w+):", command):
        Path(shown).mkdir()
    _, name, *words = shlex.split(re.sub(r"\s>>?\w+$", "", command).replace("$TREE", str(tmp_path)))
    cli.commands[name].make_context(name, words)


def test_exempt_commands_are_those_shown() -> None:
    shown = {c.command for b in BLOCKS for c in b.commands}
    assert sorted(EXEMPT.keys() - shown) == [], "exempt, and shown nowhere"


@pytest.mark.parametrize(
    ("shown", "actual", "same"),
    [
        (["a"], ["a"], True),
        (["a"], ["a", "b"], False),
        (["a", "..."], ["a"], True),
        (["a", "..."], ["b", "a"], False),
        (["...", "b"], ["a", "b"], True),
        (["...", "b"], ["b", "a"], False),
        (["...", "b", "..."], ["a", "b", "c"], True),
        (["a", "...", "b", "...", "a"], ["a", "b", "a"], True),
        (["a", "...", "a"], ["a"], False),
    ],
)
def test_an_elision_stands_for_any_lines(shown: list[str], actual: list[str], same: bool) -> None:
    assert agrees(shown, actual) == same


@pytest.mark.parametrize(
    ("shown", "actual", "new"),
    [
        (["x"], ["a", "b"], ["a", "b"]),
        (["x", "..."], ["a", "b", "c"], ["a", "..."]),
        (["...", "x"], ["a", "b", "c"], ["...", "c"]),
        (["x", "...", "bbbx", "...", "y"], ["a", "c", "bbbb", "d", "e"], ["a", "...", "bbbb", "...", "e"]),
        (["a", "..."], ["a", "b"], ["a", "..."]),
    ],
)
def test_output_is_renewed_around_elisions(shown: list[str], actual: list[str], new: list[str]) -> None:
    assert renewed(shown, actual) == new
    assert agrees(new, actual)


def test_the_demonstration_is_shown() -> None:
    shown = {c.command for b in BLOCKS for c in b.commands}
    recipe = (ROOT / "Makefile").read_text().partition("\ndemo:")[2].partition("\n\n")[0]
    commands = re.findall(r"^\t\$\(BIN\)/(.*)$", recipe, flags=re.MULTILINE)
    assert commands
    assert sorted(set(commands) - shown) == []


# Links


def prose(doc: Path) -> str:
    """A document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", doc.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(doc: Path) -> set[str]:
    """The names of a document's headings in links, made as GitHub makes them."""
    heads = re.findall(r"^#+ +(.*)$", prose(doc), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


@pytest.mark.parametrize("doc", DOCS, ids=lambda d: d.name)
def test_links_lead_somewhere(doc: Path) -> None:
    for link in LINK.findall(prose(doc)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (doc.parent / path).resolve() if path else doc
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_picture_is_shown_and_made_by_a_command() -> None:
    shown = [(doc.parent / name).resolve() for doc in DOCS for name in IMAGE.findall(prose(doc))]
    assert sorted(set(shown)) == sorted((ROOT / "docs" / "pictures").iterdir())
    browsers = {"report"}  # python -m tests.emu.observe.report.picture: its pixels are this computer's fonts'
    views = {"view"}  # python -m tests.emu.view.picture: tests/emu/view/test_picture.py compares it
    drawn = pictures.PICTURES.keys() | pictures.CURVES.keys()
    assert {p.stem for p in shown} == {c.picture for c in CASES} | drawn | browsers | views
    assert all(p.stat().st_size < 200_000 for p in shown)


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_a_picture_of_the_terminal_shows_what_is_printed(name: str) -> None:
    svg = (pictures.DIR / f"{name}.svg").read_text()
    assert pictures.words(svg) == f"$ {pictures.typed(name)}\n{pictures.output(name, 'never')}".split()
    assert "://" not in svg.replace("http://www.w3.org/2000/svg", "").replace("https://www.textualize.io", "")


def test_tables_of_the_benchmark_are_renewed() -> None:
    names = ["rows", "scaling", "starts", "files", "claims", "go"]
    page = (ROOT / "docs" / "performance.md").read_text()
    assert list(benchdocs.tables(page)) == names
    new = benchdocs.renewed(page, "<!-- go -->\n| a |\n\n<!-- curves -->\n| b |\n")
    assert benchdocs.tables(new) == benchdocs.tables(page) | {"go": "| a |\n"}
    assert new.splitlines()[-1] == page.splitlines()[-1]


def test_every_document_is_linked_from_the_readme() -> None:
    links = set(LINK.findall(prose(ROOT / "README.md")))
    assert sorted(str(d.relative_to(ROOT)) for d in DOCS[1:]) == sorted(
        str(d.relative_to(ROOT)) for d in DOCS[1:] if str(d.relative_to(ROOT)) in links
    )


@pytest.mark.parametrize("doc", DOCS, ids=lambda d: d.name)
def test_files_and_functions_that_are_named_exist(doc: Path) -> None:
    for path, symbol in SYMBOL.findall(prose(doc)):
        if "NAME" in path:
            continue
        assert (ROOT / path).is_file(), path
        text = (ROOT / path).read_text()
        for name in symbol.split(".") if symbol else ():
            assert re.search(rf"^ *((def|class) {name}\b|{name}\b.*[:=])", text, flags=re.MULTILINE), f"{path}:{symbol}"


GUESTTEST = re.compile(r"`(guest/src/\w+\.c)` \(([\w, ]+)\)")
BARETEST = re.compile(r"`(test_\w+)`")
OWNER = re.compile(r"Tests are those of\s+`(tests/[\w/]+\.py)`")


def rowsbytest(doc: str) -> Iterator[tuple[str, str, str]]:
    """The rows of a document's tables whose last column is "tested by": cell, row, default file."""
    default = ""
    column = False
    for line in prose(ROOT / doc).splitlines():
        if m := OWNER.search(line):
            default = m[1]
        if not line.startswith("|"):
            column = False
        elif line.endswith("| tested by |"):
            column = True
        elif column and not line.startswith("|---"):
            cells = [c.strip() for c in line.strip("|").split(" | ")]
            yield cells[-1], cells[0], default


@pytest.mark.parametrize("doc", ["docs/syscalls.md", "docs/devices.md", "docs/net.md"])
def test_each_row_has_its_tests(doc: str) -> None:
    found = list(rowsbytest(doc))
    assert len(found) > 20
    for cell, row, default in found:
        named = SYMBOL.findall(cell) + [(default, name) for name in BARETEST.findall(cell)]
        assert named, row
        for path, function in named:
            text = (ROOT / path).read_text()
            assert path.startswith("guest/") or not function or f"def {function}(" in text, f"{row}: {function}"
        for path, functions in GUESTTEST.findall(cell):
            text = (ROOT / path).read_text()
            for function in functions.split(", "):
                assert re.search(rf"^{function}\(", text, flags=re.MULTILINE), f"{row}: {path} has no {function}"


@pytest.mark.parametrize("doc", DOCS, ids=lambda d: d.name)
def test_no_document_names_a_place_on_this_computer(doc: Path) -> None:
    assert str(ROOT) not in doc.read_text()
    assert str(Path.home()) + "/" not in doc.read_text()


# Names


def named(doc: str) -> set[str]:
    """What a document says in code type, and the words of it."""
    codes = set(CODE.findall(prose(ROOT / doc)))
    return codes | {word for code in codes for word in code.split()}


def rows(doc: str, columns: int) -> list[tuple[str, ...]]:
    """The first cells of all rows of a document's tables, code type removed."""
    out = []
    for line in prose(ROOT / doc).splitlines():
        if line.startswith("| "):
            out.append(tuple(cell.strip().strip("`") for cell in line.strip("|").split("|"))[:columns])
    return out


def test_every_guest_is_described() -> None:
    assert sorted({g.name for g in CATALOG} - {row[0] for row in rows("docs/guests.md", 1)}) == []


def test_every_event_and_field_is_described() -> None:
    words = named("docs/trace.md")
    kinds = Event.__subclasses__()
    assert len(kinds) >= 8
    for event in kinds:
        names = {"class" if f.name == "cls" else f.name for f in fields(event)}
        assert sorted(names - words) == [], event.kind
        assert event.kind in words


def test_every_system_call_is_described_and_no_other() -> None:
    calls = {(str(nr), call.name) for nr, call in SYSTAB.items()}
    shown = {row for row in rows("docs/syscalls.md", 2) if row[0].isdigit()}
    assert shown == calls


def test_every_command_and_option_is_named() -> None:
    words = named("README.md") | {w for d in DOCS for w in named(str(d.relative_to(ROOT)))}
    for name, command in cli.commands.items():
        assert f"p9emu {name}" in " ".join(words) or name in words
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("-"):
                    assert option in words, f"{name} {option}"
