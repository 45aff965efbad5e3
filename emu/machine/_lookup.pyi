bind: int
counts: int
known: int
