"""The laboratory: many orders of one program's events, and what goes wrong in some of them."""
