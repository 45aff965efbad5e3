"""Tests of kernel/devices/ip."""
