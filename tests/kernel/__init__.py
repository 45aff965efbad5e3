"""Tests of the kernel without a CPU: on plain memory."""
