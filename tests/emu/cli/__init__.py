"""Tests of emu/cli."""
