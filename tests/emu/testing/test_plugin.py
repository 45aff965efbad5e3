"""The plugin, in runs of pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module

import pytest

# Here and now: what is imported in a run of pytest within this one is forgotten with that.
for name in ("emu.testing.explain", "emu.testing.p9", "guest.build"):
    import_module(name)

pytest_plugins = ["pytester"]

SOURCE = '#include "guest.h"\nconst char *main(int argc, char *argv[]) { print("%s\\n", argv[argc - 1]); return 0; }\n'


@pytest.fixture(autouse=True)
def noupdate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Golden files of the tests within are not to be rewritten when those of the tests outside are."""
    monkeypatch.delenv("P9EMU_UPDATE", raising=False)


def test_loading_it_imports_nothing_that_takes_time() -> None:
    code = "import sys, pytest; before = set(sys.modules); import emu.testing.plugin; "
    code += "print(sorted(set(sys.modules) - before))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "['emu', 'emu.testing', 'emu.testing.plugin']\n"


@pytest.mark.guest
def test_a_failure_tells_which_fault_came_too_many(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_one_copy(p9):
            r = p9.run("cow", "1")
            assert r.faults.count(cls="cow-copy", segment="bss") == 0
        def test_at_most(p9):
            r = p9.run("cow", "2")
            assert r.faults.count(cls="cow-copy", segment="bss") <= 1
        def test_more(p9):
            assert 3 < p9.run("cow", "2").faults.count(cls="cow-copy", segment="bss")
        def test_none(p9):
            assert p9.run("true").faults.count(cls="swap-in")
        def test_classes(p9):
            r = p9.run("cow", "1")
            assert r.faults(segment="bss").by_class() == {"cow-copy": 2, "remap": 1, "zero-fill": 1}
        def test_calls(p9):
            assert p9.run("cow", "1").syscalls.count(name="rfork") == 2
        def test_right(p9):
            r = p9.run("cow", "1")
            assert r.faults.count(cls="cow-copy", segment="bss") == 1
            assert r.syscalls.by_name()["rfork"] == 1
    """)
    result = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(failed=6, passed=1)
    fault = r"\[3\] 0x00003004 write user cow-copy bss frame 0x\w+ pc 0x\w+ main\+0x\w+: mov .*"
    result.stdout.re_match_lines(
        [
            "E +assert 1 faults cls=cow-copy segment=bss == 0",
            rf"E +\+ {fault}",
            "E +assert 2 faults cls=cow-copy segment=bss <= 1",
            rf"E +{fault}",
            r"E +\+ \[3\] 0x00004004 write user .*",
            "E +assert 2 faults cls=cow-copy segment=bss > 3",
            rf"E +{fault}",
            "E +AssertionError: assert 0",
            "E +cow-copy: 1, not 2",
            rf"E +{fault}",
            "E +assert 1 syscalls name=rfork == 2",
            r"E +\[2\] rfork\(.*\) = 3",
        ]
    )


@pytest.mark.guest
@pytest.mark.parametrize("capture", [(), ("-s",), ("-n", "1")])
def test_a_failure_shows_the_output_and_how_to_repeat_the_run(
    pytester: pytest.Pytester, capture: tuple[str, ...]
) -> None:
    pytester.makepyfile("""
        import pytest
        @pytest.mark.p9emu(cpus=2)
        class TestIt:
            @pytest.mark.p9emu(seed=5, sched="random", memory="8M")
            def test_it(self, p9):
                assert p9.run("echo", "seen by nobody", check=False).status == 0
                assert p9.run("nil").status == 0
            def test_right(self, p9):
                assert p9.run("echo", "passed over", swap="8M").config.cpus == 2
    """)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *capture)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*p9emu: again, seed 5*",
            "p9emu run --check --memory 8M --cpus 2 --seed 5 --sched random nil",
            "*p9emu: exit*",
            "status 1: nil 2: sys: trap: fault read addr=0x0 pc=*",
            "*p9emu: guest's stderr*",
            "nil 2: suicide: *",
        ]
    )
    assert "passed over" not in result.stdout.str()


@pytest.mark.guest
def test_a_machine_that_fails_shows_its_processes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_bound(p9):
            p9.run("echo", "much more than ten bytes", maxoutput=10)
        def test_time(p9):
            p9.run("spin", "1000000", timeout=0.1)
    """)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*LimitError*", "*guest's stdout*", "much more ", "*TimeLimit*"])


@pytest.mark.guest
def test_seeds(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest
        seen = []
        @pytest.mark.p9emu(seeds=3, cpus=2)
        def test_each(p9):
            r = p9.run("true")
            assert r.config.sched == "random"
            seen.append(r.config.seed)
        def test_all():
            assert seen == [0, 1, 2]
        @pytest.mark.p9emu(memory="8M")
        def test_in_one(p9):
            for p in p9.seeds(5, cpus=2):
                r = p.run("true")
                assert (r.config.seed, r.config.memory, r.config.cpus) == (p.seed, 8 << 20, 2)
                assert p.seed < 3
    """)
    result = pytester.runpytest_inprocess("-v", "-p", "no:cacheprovider")
    result.assert_outcomes(failed=1, passed=4)
    result.stdout.fnmatch_lines(["*test_each?seed2? PASSED*", "*p9emu: again, seed 3*", "p9emu run --check*--seed 3*"])


def test_markers_that_are_wrong(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest
        @pytest.mark.p9emu(cpu=2)
        def test_name(p9):
            p9.run("true")
        @pytest.mark.p9emu(cpus=20)
        def test_value(p9):
            p9.run("true")
    """)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--strict-markers")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["E *TypeError: a machine has no 'cpu'; it has *", "E *ValueError: cpus: 20 is not*"])
    pytester.makepyfile("""
        import pytest
        @pytest.mark.p9emu(seeds=2)
        def test_no_fixture():
            pass
    """)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    assert "seeds= is for tests that use the fixture p9" in result.stdout.str() + result.stderr.str()
    assert result.ret != 0


@pytest.mark.guest
def test_golden_files(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile("""
        import os
        def test_trace(p9):
            p9.golden("t", p9.run("echo", os.environ["WORD"], events="syscall"))
        def test_text(p9):
            p9.golden("sub/bytes", b"\\xff\\n")
    """)
    golden = pytester.path / "golden"
    monkeypatch.setenv("WORD", "one")

    def result(*args: str, failed: int = 0) -> pytest.LineMatcher:
        r = pytester.runpytest_inprocess("-p", "no:cacheprovider", *args)
        r.assert_outcomes(failed=failed, passed=2 - failed)
        return r.stdout

    result(failed=2).fnmatch_lines(["golden/t: there is no such golden file; --p9emu-update makes it"])
    assert not golden.exists()
    result("--p9emu-update", "-n", "2")
    assert (golden / "t").read_text().startswith("# p9emu golden, schema 1\n")
    assert (golden / "sub/bytes").read_bytes() == b"# p9emu golden, schema 1\n\xff\n"
    result()
    monkeypatch.setenv("WORD", "three")
    changed = ["golden/t: not as it was; --p9emu-update writes it anew", "-*write(*4*", "+*write(*6*"]
    result(failed=1).fnmatch_lines(changed)
    monkeypatch.setenv("P9EMU_UPDATE", "1")
    result()
    monkeypatch.delenv("P9EMU_UPDATE")
    result()
    for head, words in (("# p9emu golden, schema 0\n", "schema 0"), ("", "no header")):
        (golden / "t").write_text(head + "rest\n")
        result(failed=1).fnmatch_lines([f"golden/t: the golden file has {words}, this p9emu needs schema 1; *"])
    assert [p.name for p in golden.iterdir() if p.name.startswith(".")] == []
    (golden / "t").unlink()
    os.mkfifo(golden / "t")
    result(failed=1).fnmatch_lines(["golden/t: is no regular file, not a golden file"])
    (golden / "t").unlink()
    (golden / "t").mkdir()
    result(failed=1).fnmatch_lines(["golden/t: is a directory, not a golden file"])


def test_a_wrong_call_is_shown_where_it_is(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_program(p9):
            p9.run("nosuch")
        def test_source(p9):
            p9.run("cat", "/dev/zero", maxoutput=10)
        def test_option(p9):
            p9.machine(memory="1M")
    """)
    out = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider").stdout
    out.fnmatch_lines(
        ["E *LoadError: nosuch: no such file", "E *LimitError: * (maxoutput)", "E *ValueError: memory: *"]
    )
    places = [line for line in out.lines if ".py:" in line and line.endswith("Error")]
    name = "test_a_wrong_call_is_shown_where_it_is.py"
    assert places == [f"{name}:2: LoadError", f"{name}:4: LimitError", f"{name}:6: ValueError"]


@pytest.mark.guest
def test_sources_are_built_once(pytester: pytest.Pytester) -> None:
    (pytester.path / "prog.c").write_text(SOURCE)
    pytester.makepyfile(f"""
        import pathlib, pytest
        paths = set()
        @pytest.mark.parametrize("n", [1, 2])
        def test_build(p9, n, monkeypatch):
            monkeypatch.chdir("/")  # files are those beside the test
            prog = p9.build("prog.c")
            if n == 2:
                assert prog in paths
            paths.add(prog)
            assert p9.run(prog, "x").text == "x\\n"
        def test_changed(p9):
            path = pathlib.Path(__file__).parent / "prog.c"
            path.write_text(path.read_text().replace("%s", "<%s>"))
            prog = p9.build("prog.c")
            assert prog not in paths
            assert p9.run(prog, "x").text == "<x>\\n"
        def test_text(p9):
            assert p9.run_c({SOURCE!r}, "y").text == "y\\n"
        def test_missing(p9):
            p9.build("nosuch.c")
        def test_wrong(p9):
            p9.run_c("int main(")
    """)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=2, passed=4)
    result.stdout.fnmatch_lines(["*/nosuch.c: no such source", "*error: expected*"])


@pytest.mark.guest
def test_machines_are_closed_and_can_be_looked_into(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest
        kept = []
        def test_look(p9):
            m = p9.machine(memory="8M")
            kept.append(m)
            for ev in m.events("cow", ["2"], kinds="proc"):
                if ev.op == "exit" and ev.pid == 3:
                    assert [p.pid for p in m.processes() if not p.kernel] == [2, 3]
                    break
        def test_closed():
            with pytest.raises(RuntimeError, match="closed"):
                kept[0].processes()
    """)
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)
