"""The machine and its front ends."""
