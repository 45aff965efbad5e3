"""What a machine may be made of. Nothing is imported here: the command line knows the limits before anything runs."""

from typing import Final

MINMEM: Final = 4 << 20
MAXMEM: Final = 3 << 30
MAXSWAP: Final = 4 << 30  # a swap address has 32 bits
MAXCPUS: Final = 8
MAXTIME: Final = 0xFFFFFFFF  # of a file, s since 1970
INJECTABLE: Final = ("newpage", "malloc", "swapread", "swapwrite", "textread", "hostread")  # of Config.inject
PAGEOUT: Final = ("clock16", "average", "fifo", "random", "lru", "2q", "s3fifo")  # kernel.memory.policy.POLICIES
POINTS: Final = ("fields", "memory", "interrupts")  # switch points beside those at locks
