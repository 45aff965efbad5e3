"""Tests of emu/observe."""
