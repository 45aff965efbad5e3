"""guest.cc: sources from anywhere become programs that know their source lines."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from emu.program.aout import load
from emu.program.lines import Lines, Place
from guest import build, cc, zig
from guest.aout import Aout
from tests.e2e.harness import run

pytest.importorskip("ziglang")
pytest.importorskip("elftools")

HERE = Path(__file__).parent

MAIN = """\
#include "guest.h"
#include "one.h"
#include "inc/more.h"

int part(int *p);

char *
main(int argc, char *argv[])
{
	(void)argv;
	print("%d\\n", more(argc));
	one((int *)(argc - 1));
	part(nil);
	return nil;
}
"""
ONE = "static inline __attribute__((always_inline)) void one(int *p) { *p = 1; }\n"
MORE = """\

static inline __attribute__((always_inline)) int
more(int n)
{
	return *(volatile int *)(n * 0 + 0x1000);
}
"""
PART = "int part(int *p) { return *p; }\n"
START = """\
	.globl _start
_start:
	movl %eax, 0
"""


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, which has sources in it and in directories below."""
    return populate(tmp_path / "one" / "place", monkeypatch)


def populate(where: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (where / "inc").mkdir(parents=True)
    (where / "sub").mkdir()
    for name, text in {"main.c": MAIN, "one.h": ONE, "inc/more.h": MORE, "sub/main.c": PART, "start.S": START}.items():
        (where / name).write_text(text)
    monkeypatch.chdir(where)
    return where


def made(where: Path, image: bytes) -> Path:
    (where / "prog").write_bytes(image)
    return where / "prog"


def test_every_line_is_that_of_its_file(there: Path) -> None:
    """Of the source, of headers, one with code in its first line, of a file of the same name, of the library."""
    a = load(str(made(there, cc.compile(["main.c", "sub/main.c"]).image)))
    lines = Lines(a)
    places = {lines.at(pc) for pc in range(a.entry, a.textend)} - {None}
    starts = {f.name: lines.at(f.value) for f in a.functions}
    assert starts["_start"] == Place("guest/lib/start.S", 10)
    assert starts["main"] == Place("main.c", 9)
    assert starts["part"] == Place("sub/main.c", 1)
    wanted = {Place("main.c", n) for n in (11, 13, 14)} | {Place("one.h", 1), Place("inc/more.h", 5)}
    assert wanted <= places
    assert {p.file for p in places if p and not p.file.startswith("guest/lib/")} == {
        "main.c", "sub/main.c", "one.h", "inc/more.h"
    }  # fmt: skip


@pytest.mark.parametrize("level", ["0", "1", "2", "s"])
def test_each_function_has_a_frame_that_holds_for_its_calls(there: Path, level: str) -> None:
    """At a call the stack is as deep as .frame says: a debugger of Plan 9 knows no more."""
    a = load(str(made(there, cc.compile(["main.c", "sub/main.c"], level=level).image)))
    lines = Lines(a)
    frames = {s.value: f.value - 4 for s, f in zip(a.symbols, a.symbols[1:], strict=False) if f.type == "m"}
    main = next(f.value for f in a.functions if f.name == "main")
    calls = [pc for pc in range(main, main + 100) if a.bytes_at(pc, 1) == b"\xe8" and a.symbol(pc)[0] == "main"]
    assert calls
    assert {lines.frame(pc) for pc in calls} == {frames[main]}
    assert lines.frame(main) == 0


def test_the_same_bytes_wherever_they_are_made(there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ["main.c", "sub/main.c"]
    first = cc.compile(files).image
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    populate(tmp_path / "else" / "where", monkeypatch)
    assert cc.compile(files).image == first
    assert str(tmp_path).encode() not in first
    assert str(cc.LIB).encode() not in first
    assert sorted(p.name for p in Path.cwd().iterdir()) == ["inc", "main.c", "one.h", "start.S", "sub"], "no litter"


def test_warnings_are_told_each_time(there: Path) -> None:
    (there / "w.c").write_text("char *main(void) { int unused; return 0; }\n")
    for _ in range(2):
        said = cc.compile(["w.c"]).said
        assert said.startswith("w.c:1:24: warning: unused variable 'unused'")


def test_errors_of_all_files_in_their_order(there: Path) -> None:
    for name in ("b.c", "sub/a.c"):
        (there / name).write_text("int f(void) { return nonsense; }\n")
    with pytest.raises(zig.BuildError) as e:
        cc.compile(["b.c", "main.c", "sub/a.c"])
    assert [line.split(":")[0] for line in str(e.value).splitlines() if "error: " in line] == ["b.c", "sub/a.c"]


def test_what_is_undefined_is_told_with_its_place(there: Path) -> None:
    with pytest.raises(zig.BuildError) as e:
        cc.compile([there / "main.c"])
    assert str(e.value) == f"{there}/main.c:13: undefined symbol: part\n"
    with pytest.raises(zig.BuildError) as e:
        cc.compile(["sub/main.c"])
    assert str(e.value) == "no function main, and no _start\n"


def test_options_reach_the_compiler(there: Path) -> None:
    (there / "o.c").write_text('#include "more.h"\nchar *main(int c, char **v) { return more(N) ? S : 0; }\n')
    done = cc.compile(["o.c"], include=["inc"], define=["N=1", 'S="text"'], warn=["extra"])
    assert "unused parameter 'c'" in done.said
    assert b"text\0" in done.image


@pytest.mark.parametrize("name", ["-c.c", "@x.c", "a b.c", "ä.c", "it's.c"])
def test_any_name_of_a_file(there: Path, name: str) -> None:
    (there / name).write_text("char *main(void) { return 0; }\n")
    a = load(str(made(there, cc.compile([name]).image)))
    main = next(f.value for f in a.functions if f.name == "main")
    assert Lines(a).at(main) == Place(name, 1)


def test_assembly_alone_begins_at_its_own_start(there: Path) -> None:
    image = cc.compile(["start.S"]).image
    assert Aout.unpack(image).text.hex() == "a300000000"
    assert Lines(load(str(made(there, image)))).at(0x1020) == Place("start.S", 3)


def test_the_library_is_compiled_once(there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    first = cc.compile(["start.S"]).image
    (kept,) = (cache / "p9emu").iterdir()
    before = kept.stat().st_mtime_ns
    assert cc.compile(["start.S"]).image == first
    assert kept.stat().st_mtime_ns == before
    kept.write_bytes(kept.read_bytes()[:-1])
    assert cc.compile(["start.S"]).image == first, "a damaged one is made anew"
    monkeypatch.setattr(cc, "LIB", Path(shutil.copytree(cc.LIB, tmp_path / "lib")))
    with open(cc.LIB / "guest.h", "a") as f:
        f.write("\n")
    cc.compile(["start.S"])
    assert len(list((cache / "p9emu").iterdir())) == 2, "another library is another file"


def test_a_cache_that_cannot_be_made_is_done_without(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert Aout.unpack(cc.compile(["start.S"]).image).text


@pytest.mark.parametrize("package", ["ziglang", "elftools"])
def test_without_the_extra(there: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setattr(zig, "find_spec", lambda name: None if name == package else find_spec(name))
    with pytest.raises(zig.MissingError, match='needs the extra "guests"'):
        cc.compile(["start.S"])


def test_program_is_the_short_face(there: Path) -> None:
    files = [there / "start.S"]
    assert build.program("x", files) == cc.compile(files).image
    with pytest.raises(build.BuildError, match=r"^x: .*main\.c:13: undefined symbol: part"):
        build.program("x", [there / "main.c"])


@pytest.mark.guest
def test_the_library(tmp_path: Path) -> None:
    prog = made(tmp_path, cc.compile([HERE / "programs" / "lib.c"]).image)
    done = run(os.fspath(prog))
    assert (done.outcome.exits, done.stdout) == ("", "")


@pytest.mark.guest
def test_a_fault_is_where_the_source_says(there: Path) -> None:
    (there / "one.h").write_text("\n\n" + ONE)
    prog = made(there, cc.compile(["main.c", "sub/main.c"]).image)
    done = run(os.fspath(prog), trace=True)
    last = done.faults()[-1]
    assert (last.cls, Lines(load(str(prog))).at(last.pc)) == ("unmapped", Place("one.h", 3))
