memory: int
block: int
