"""The system calls and their table. Knows all rooms."""
