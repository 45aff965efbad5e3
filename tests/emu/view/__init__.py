"""The view in a terminal, most of it without one."""
