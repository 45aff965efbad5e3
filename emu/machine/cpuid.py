"""CPUID: a plain family 6 processor that has what Unicorn executes the same way every time.

Intel SDM vol. 2, CPUID. Model 14 is the first of family 6 with SSE3 and without 64-bit mode.
"""

from typing import Final

# Leaf 1 EAX:  |27 ext family 20|19 ext model 16| |13 type 12|11 family 8|7 model 4|3 stepping 0|
SIGNATURE: Final = 6 << 8 | 14 << 4 | 8

# Leaf 1 EDX: FPU 0, TSC 4, CX8 8, CMOV 15, CLFLUSH 19, MMX 23, FXSR 24, SSE 25, SSE2 26; ECX: SSE3 0
FEATURES: Final = sum(1 << bit for bit in (0, 4, 8, 15, 19, 23, 24, 25, 26))
SSE3: Final = 1 << 0
CLFLUSHSIZE: Final = 8 << 8  # of EBX: in units of 8 bytes

VENDOR: Final = b"GenuineIntel"
BRAND: Final = b"p9emu 386".ljust(48, b"\0")

Leaf = tuple[int, int, int, int]


def _text(b: bytes) -> list[int]:
    return [int.from_bytes(b[i : i + 4], "little") for i in range(0, len(b), 4)]


def _leaves() -> dict[int, Leaf]:
    vendor = _text(VENDOR)
    brand = _text(BRAND)
    leaves: dict[int, Leaf] = {
        0: (1, vendor[0], vendor[2], vendor[1]),
        1: (SIGNATURE, CLFLUSHSIZE, SSE3, FEATURES),
        0x80000000: (0x80000004, 0, 0, 0),
    }
    for i in range(3):
        a, b, c, d = brand[4 * i : 4 * i + 4]
        leaves[0x80000002 + i] = (a, b, c, d)
    return leaves


LEAVES: Final = _leaves()


def cpuid(leaf: int) -> Leaf:
    """EAX, EBX, ECX, EDX for a leaf; zeros for one that is not there."""
    return LEAVES.get(leaf, (0, 0, 0, 0))
