"""Pages, segments, images, faults, the pager and the MMU: what p9emu is about. Knows sched and base."""
