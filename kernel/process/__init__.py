"""How a process ends, its registers, its notes and its floating point. Knows files and what is below."""
