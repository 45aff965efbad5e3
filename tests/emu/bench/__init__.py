"""Tests of emu/bench."""
