"""Programs that want more than there is, in C, and what becomes of them."""
