"""The machine: processor, memory, clock, disk and console on Unicorn, and its boot."""
