"""What the kernel can tell a guest has failed: each text is the original's, or ours for a reason.

``errors.tsv`` has a line for each text: the text, {} where something is filled in, and the files of the original it is
in; or ``p9emu``, and why there is such a text.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel.base import error

ROOT = Path(__file__).parents[3]
TABLE = Path(__file__).with_name("errors.tsv")

# Functions that take a text, and its place among their arguments
TAKES = {"Error": 0, "Walkerror": 0, "nameerror": 2, "namelenerror": 3, "pexit": 1, "postnote": 3}

# Arguments that are not a text as it stands, and what they are
COMPUTED = {
    ("chan", "up.genbuf"): "Ebadchar with the name",
    ("chan", "cut(f'{quote(up.genbuf, True, ERRMAX)} {err}', ERRMAX)"): "another error, with the name",
    ("chan", "err"): "the error that namelenerror was given, or that of the last walk in a union",
    ("chan", "str(e)"): "another error",
    ("chan", "text"): "the error of a walk or open, without the name",
    ("conv", "c.cerr"): "what the conversation ended with",
    ("conv", "p"): "what a protocol says of a request",
    ("devcs", "'request too long' if c.qid.path == Qcs else 'dns: request too long'"): "too long for cs or dns",
    ("devcs", "Ednsresource if ips else Ednsname"): "one of its constants",
    ("devcs", "err"): "one of its constants",
    ("devhost", "str(why)"): "one of hostfile's constants",
    ("devip", "p"): "what a protocol says of a request",
    ("devmnt", "cut(f'incompatible 9P versions {kstr(m.version)} {kstr(v)}', ERRMAX)"): "the server's",
    ("devmnt", "kstrcpy(r.ename, ERRMAX)"): "the server's",
    ("devmnt", "current(k).errstr"): "whatever error there was last (erratum 18)",
    ("devproc", "kstr(data[0:n].partition(b'\\x00')[0])"): "the note that was written",
    ("fault", "s"): "Eioload with the name of the file and the error",
    ("hostfile", "_TEXT.get(e.errno or 0, Eio) if isinstance(e, OSError) else Eio"): "one of hostfile's constants",
    ("mountio", "kstrcpy(r.reply.ename, ERRMAX)"): "the server's",
    ("mountio", "err"): "the error of sending or waiting",
    ("parse", "text + '\"'"): "cmderror: an error and the request",
    ("note", "text"): "the note that was written",
    ("procctl", "None"): "no note",
    ("procmem", "failed"): "the error of a fault, or Eprocdied",
    ("qio", "q.err"): "what the queue was hung up with",
    ("sysproc", "status"): "the status that exits was given",
    ("sysexec", "str(e)"): "the error of an exec that cannot go back",
    ("syssem", "failed"): "the error that ended a sleep",
    ("notify", "n.msg"): "the note",
    ("notify", "up.lastnote.msg"): "the note",
}


def literal(node: ast.expr | None) -> str | None:
    """A text with {} for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left = literal(node.left)
        return None if left is None else left + "{}"
    return None


def modules() -> Iterator[tuple[str, ast.Module]]:
    """The kernel's modules."""
    for path in sorted((ROOT / "kernel").rglob("*.py")):
        yield path.stem, ast.parse(path.read_text())


def constants() -> dict[str, str]:
    """Texts that have a name, E and small letters, and are used by it."""
    values: dict[str, str] = {}
    used: set[str] = set()
    for _, tree in modules():
        for node in tree.body:
            if not isinstance(node, ast.Assign | ast.AnnAssign):
                continue
            target: ast.expr = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name):
                text = literal(node.value)
                if text is not None and target.id[0] == "E" and target.id[1:].islower():
                    values[target.id] = text
        used |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return {name: text for name, text in values.items() if name in used}


def said() -> tuple[set[str], set[tuple[str, str]]]:
    """All texts, and the arguments that are none."""
    named = constants()
    texts = set(named.values())
    computed = set()
    for module, tree in modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            f = node.func
            name = f.id if isinstance(f, ast.Name) else f.attr if isinstance(f, ast.Attribute) else ""
            if name not in TAKES or len(node.args) <= TAKES[name]:
                continue
            arg = node.args[TAKES[name]]
            choices = [arg.body, arg.orelse] if isinstance(arg, ast.IfExp) and name != "Error" else [arg]
            for choice in choices:
                text = literal(choice)
                if text is not None:
                    texts.add(text)
                elif not (isinstance(choice, ast.Name) and choice.id in named):
                    computed.add((module, ast.unparse(choice)))
    return texts, computed


def table() -> dict[str, str]:
    """errors.tsv."""
    rows = [line.split("\t") for line in TABLE.read_text().splitlines()]
    assert all(len(row) == 2 and row[1] for row in rows)
    assert rows == sorted(rows)
    return {row[0]: row[1] for row in rows}


def test_every_text_is_in_the_table_and_no_other() -> None:
    texts, _ = said()
    rows = table().keys()
    assert sorted(texts - rows) == [], "not in errors.tsv"
    assert sorted(rows - texts) == [], "in errors.tsv alone"


def test_what_is_computed_is_known() -> None:
    _, computed = said()
    assert sorted(computed - COMPUTED.keys()) == []
    assert sorted(COMPUTED.keys() - computed) == []


def test_sources_are_files_of_the_original_or_reasons() -> None:
    for text, source in table().items():
        if not source.startswith("p9emu: "):
            places = ("port/", "pc/", "ip/", "cmd/ndb/")
            assert all(name.startswith(places) and name[-2:] in (".c", ".h") for name in source.split()), text


@pytest.mark.parametrize("name", [n for n, v in vars(error).items() if n[0] == "E" and isinstance(v, str)])
def test_texts_fit(name: str) -> None:
    assert 0 < len(getattr(error, name)) < error.ERRMAX
