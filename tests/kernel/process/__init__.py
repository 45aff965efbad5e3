"""Tests of kernel/process."""
