bind: int
get: int
