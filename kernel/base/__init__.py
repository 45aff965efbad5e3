"""The structures, all in one place, and the object that holds them. Knows no other room."""
