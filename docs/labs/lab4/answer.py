"""Lab 4: how much memory does program.c need? A multiple of 64K, as for p9emu's option -m."""

MEMORY = "64M"
