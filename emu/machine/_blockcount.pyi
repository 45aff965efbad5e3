hook: int
get: int
set: int
state: int
