"""Tests of kernel/memory."""
