bind: int
get: int
set: int
