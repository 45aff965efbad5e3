"""Lab 1: your predictions. How many faults of each class are there, of both processes together?"""

DATA = {
    "data-load": 0,
    "cow-copy": 0,
    "remap": 0,
    "cache-hit": 0,
}
BSS = {
    "zero-fill": 0,
    "cow-copy": 0,
    "remap": 0,
}
