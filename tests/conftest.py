"""What all tests share."""

import signal

from emu.machine.lib import lib

# Before a test imports Unicorn's binding: after that the counter of blocks could not take the place of its function.
lib()

# A shell's background job ignores Ctrl-C, and so would each p9emu that a test starts, and then interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
