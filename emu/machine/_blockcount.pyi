hook: int
get: int
set: int
