"""Replay of recorded behaviour of the original's memory subsystem on this kernel.

``python -m tests.vectors FILE...`` replays vector files; FORMAT.md describes them.
"""
