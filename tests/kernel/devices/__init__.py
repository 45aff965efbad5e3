"""Tests of kernel/devices."""
