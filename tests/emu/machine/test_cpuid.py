"""CPUID's leaves; that programs get them is in test_cpu."""

from emu.machine.cpuid import BRAND, VENDOR, cpuid


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
