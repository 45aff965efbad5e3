"""Tests of kernel/base."""
