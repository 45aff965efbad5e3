"""Tests of emu/machine."""
