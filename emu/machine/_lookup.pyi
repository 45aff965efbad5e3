bind: int
counts: int
