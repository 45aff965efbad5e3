bind: int
