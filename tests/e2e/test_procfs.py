"""/proc and /srv on the whole machine."""

from __future__ import annotations

import pytest

from tests.e2e.harness import run


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_checks_itself(cpus: int) -> None:
    r = run("procfs", cpus=cpus)
    assert (r.outcome.exits, r.stderr) == ("", "")


def test_under_memory_pressure() -> None:
    r = run("procfs", memory=5 << 20, swap=8 << 20)
    assert (r.outcome.exits, r.stderr) == ("", "")


def test_what_a_program_sees_of_itself() -> None:
    assert run("cat", "/proc/2/args").stdout == "cat /proc/2/args"
    assert run("cat", "/proc/2/segment").stdout.startswith("Stack     defff000 dffff000    1\nText   R      1000")
    status = run("cat", "/proc/2/status").stdout
    assert len(status) == 176
    assert status.split()[:3] == ["cat", "eve", "Pread"]


def test_the_name_space_at_boot() -> None:
    lines = run("cat", "/proc/2/ns").stdout.splitlines()
    assert "bind  #p /proc" in lines and "bind -c #s /srv" in lines
    assert lines[-1] == "cd /"


@pytest.mark.parametrize("name", ["/proc/1/mem", "/proc/1/text", "/proc/1/regs"])
def test_the_kernels_own_process_has_nothing_to_show(name: str) -> None:
    assert run("cat", name).outcome.status == 1


def test_the_text_of_a_program_is_its_file() -> None:
    r = run("wc", "/proc/2/text")
    size = run("wc", "/bin/wc").stdout.split()
    assert r.stdout.split()[:3] == size[:3]
