"""Channels, names, name spaces and descriptors. Knows memory, sched and base."""
