"""Measurements, beside a bare Unicorn, Qiling and qemu-i386, and their pictures."""
