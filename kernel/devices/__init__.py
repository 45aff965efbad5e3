"""The devices behind #c, #p, #s and the others. Knows process and what is below."""
