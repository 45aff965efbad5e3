"""Does a broken kernel get caught? Mutants of the kernel, and what must catch each."""
