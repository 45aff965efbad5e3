"""Tests of emu/lab."""
