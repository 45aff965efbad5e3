"""Tests of kernel/syscalls."""
