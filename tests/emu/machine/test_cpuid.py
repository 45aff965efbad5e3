"""CPUID's leaves; that programs get them is in test_cpu."""

from emu.machine.cpuid import BRAND, VENDOR, cpuid
from kernel.devices.devarch import CPUTYPE


def text(*words: int) -> bytes:
    return b"".join(w.to_bytes(4, "little") for w in words)


def test_vendor_and_brand_are_spelled_as_programs_read_them() -> None:
    _, b, c, d = cpuid(0)
    assert text(b, d, c) == VENDOR
    assert text(*(w for leaf in (0x80000002, 0x80000003, 0x80000004) for w in cpuid(leaf))) == BRAND


def test_nothing_host_dependent_is_announced() -> None:
    _, _, c, d = cpuid(1)
    assert c == 1
    for bit in (2, 3, 5, 9, 11, 17, 18, 28):  # DE PSE MSR APIC SEP PSE36 PSN HTT
        assert not d >> bit & 1


def test_unknown_leaves_are_zero() -> None:
    assert cpuid(2) == cpuid(7) == cpuid(0x40000000) == cpuid(0x80000001) == (0, 0, 0, 0)


def test_the_kernel_tells_of_the_same_processor() -> None:
    """``#P/archctl`` is by pc/devarch.c:cpuidentify: its table has no such model, so the family's name."""
    a, _, _, d = cpuid(1)
    assert (a >> 8 & 0xF, a >> 4 & 0xF, CPUTYPE) == (6, 14, "P6")
    assert (d >> 13 & 1, d >> 12 & 1, d >> 26 & 1) == (0, 0, 1)  # no PGE, no MTRRs, SSE2: mfence
