"""Tests of kernel/sched."""
