"""Which file a PROGRAM argument means."""

import os


def resolve(program: str) -> str:
    """The host path of a program: a path if it holds a slash or names a file, else a bundled guest's.

    A name that means nothing is returned as it is; opening it tells that it is not there.
    """
    if "/" in program or os.path.isfile(program):
        return program
    import guest

    if any(g.name == program for g in guest.guests()):
        return guest.path(program)
    return program
