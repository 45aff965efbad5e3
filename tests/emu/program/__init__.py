"""Tests of emu/program."""
