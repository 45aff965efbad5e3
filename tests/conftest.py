"""What all tests share."""

import signal

import pytest

from emu.machine.lib import lib
from tests.order import arranged

# Before a test imports Unicorn's binding: after that the counter of blocks could not take the place of its function.
lib()

# A shell's background job ignores Ctrl-C and Ctrl-\, and so would each p9emu that a test starts, and then interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several workers share the tests, put them in an order that keeps all busy to the end."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    if workers > 1:
        items[:] = [items[i] for i in arranged([item.nodeid for item in items], workers)]
