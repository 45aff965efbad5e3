"""Misses by the clock, or second chance: what kernels do for want of the order of last use.

A hand goes round the frames. A page that was touched since the hand passed it last is left, once; one that was not is
given up. Here every touch counts, as with accessed bits. The kernel's own pager has less to go by: it learns of a touch
only by a fault (docs/mrc.md).
"""

from collections.abc import Sequence


def misses(string: Sequence[int], frames: int) -> int:
    """How many references a memory of so many frames misses, the first of each page with them."""
    pages = [-1] * frames  # by frame; -1: free
    touched = bytearray(frames)
    where: dict[int, int] = {}
    free = list(range(frames - 1, -1, -1))
    hand = missed = 0
    for page in string:
        if page < 0:
            frame = where.pop(~page, None)
            if frame is not None:
                pages[frame] = -1
                touched[frame] = 0
                free.append(frame)
            continue
        frame = where.get(page)
        if frame is None:
            missed += 1
            if free:
                frame = free.pop()
            else:
                while touched[hand]:
                    touched[hand] = 0
                    hand = (hand + 1) % frames
                frame = hand
                hand = (hand + 1) % frames
                del where[pages[frame]]
            pages[frame] = page
            where[page] = frame
        touched[frame] = 1
    return missed
