"""What all tests share."""

from emu.machine.lib import lib

# Before a test imports Unicorn's binding: after that the counter of blocks could not take the place of its function.
lib()
