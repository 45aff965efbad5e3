"""Tests of emu."""
