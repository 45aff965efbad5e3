"""Executables: which file a name means, header, symbols, instructions."""
