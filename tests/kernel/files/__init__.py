"""Tests of kernel/files."""
