"""A trace that goes to a command."""

import os
import signal
import threading
from pathlib import Path

import pytest

from emu.failure import BROKEN, PIPE
from emu.observe.output import OutputError
from emu.observe.pipe import PipeOutput


def test_the_command_has_all_and_is_waited_for(tmp_path: Path) -> None:
    out = PipeOutput(f"sleep 0.1; sort -r >{tmp_path}/t")
    for n in range(5):
        out.write(f"{n} ·\n")
    out.close()
    assert (tmp_path / "t").read_text() == "".join(f"{n} ·\n" for n in (4, 3, 2, 1, 0))
    out.close()
    out.write("late\n")


def test_a_command_that_fails_is_told() -> None:
    out = PipeOutput("cat >/dev/null; exit 3")
    out.write("x\n")
    with pytest.raises(OutputError, match=r"the trace's command 'cat >/dev/null; exit 3' failed with status 3") as e:
        out.close()
    assert e.value.status == BROKEN


def test_a_command_that_is_killed_is_told() -> None:
    out = PipeOutput("cat >/dev/null; kill -9 $$")
    with pytest.raises(OutputError, match="was ended by signal 9"):
        out.close()


def writeall(out: PipeOutput) -> None:
    while True:
        out.write("x" * 10000)


def test_a_command_that_ends_before_its_input_does() -> None:
    out = PipeOutput("head -c 1 >/dev/null")
    with pytest.raises(OutputError, match="'head -c 1 >/dev/null' ended before the program did") as e:
        writeall(out)
    assert e.value.status == PIPE
    out.write("more")
    out.close()


def test_a_command_that_fails_before_its_input_ends() -> None:
    out = PipeOutput("exit 4")
    with pytest.raises(OutputError, match="failed with status 4"):
        writeall(out)
    out.close()


def test_each_line_is_there_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f")
    out = PipeOutput(f"cat >{tmp_path}/f")
    with open(tmp_path / "f", "rb", buffering=0) as f:
        out.write("one\n")
        assert f.read(100) == b"one\n"
        out.close()


def test_ctrl_c_is_not_the_commands() -> None:
    before = signal.getsignal(signal.SIGINT)
    out = PipeOutput("kill -INT $$; exit 5")
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(OutputError, match="status 5"):
        out.close()


def test_ctrl_c_does_not_end_the_wait_for_the_command(tmp_path: Path) -> None:
    out = PipeOutput(f"cat >/dev/null; kill -INT $PPID; sleep 0.1; echo quit >{tmp_path}/t")
    before = signal.getsignal(signal.SIGINT)
    out.close()
    assert (tmp_path / "t").read_text() == "quit\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread() -> None:
    errors: list[OutputError] = []

    def run() -> None:
        try:
            PipeOutput("exit 6").close()
        except OutputError as e:
            errors.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert [str(e) for e in errors] == ["the trace's command 'exit 6' failed with status 6"]


def test_what_no_shell_can_have() -> None:
    with pytest.raises(OutputError, match=r"cannot run 'a.*': "):
        PipeOutput("a\0b")
