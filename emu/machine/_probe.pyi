hook: int
