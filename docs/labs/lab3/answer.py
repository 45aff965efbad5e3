"""Lab 3: find the lost frames, then the function that loses them."""


def lost(machine):
    """The addresses of the frames that nobody has and nobody can get, after a program has ended: a set.

    ``machine`` is an emu.Machine (docs/api.md); machine.frames() is what you need.
    """
    return set()


# For each leak the function of the kernel that forgets, by name: one of
# fixfault, pio, putpage, newpage, freepte, ptecpy, dupseg, putseg, segclock
WHERE = {1: "", 2: "", 3: ""}
