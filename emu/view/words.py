"""What the letters of the view mean, and what a frame is, in words for a student."""

from __future__ import annotations

from typing import Final

from emu.observe.model.records import SWAPIMAGE
from emu.observe.words import USES
from emu.view.look import Look

# Of what a frame may be used for, besides a process's own: the letter, and what it means.
LETTERS: Final = {
    "cow": ("2", "copy on write"), "shared": ("=", "shared segment"), "cached": ("C", "cached, in use"),
    "idle": ("I", "cached alone"), "swapping": ("W", "going to swap"), "directory": ("D", "directory"),
    "table": ("T", "page table"), "kmap": ("K", "kmap"), "pool": ("P", "spare"), "moving": ("?", "kernel"),
    "free": (".", "free"),
}  # fmt: skip

NOTHING: Final = "Nothing has happened yet: the machine is not switched on. The key n goes to the first event."
SHORT: Final = {
    "cached": "cached", "idle": "idle", "swapping": "to swap", "directory": "dir", "table": "table", "shared": "shared",
}  # fmt: skip
"""The same, where there is less room."""


def frame(look: Look, pa: int) -> str:
    """What a frame is."""
    use = look.purpose(pa)
    f = look.m.frames.now.get(pa)
    use = "swapcache" if f is not None and f.image == SWAPIMAGE and use in ("cached", "idle") else use
    words = f"frame 0x{pa:08x}: {USES[use]}"
    held = look.held(pa)
    if held:
        where = []
        for h in held[:4]:
            names = ", ".join(look.name(pid) for pid in look.having(h.segment)[:4]) or "nobody"
            s = look.m.segments.now.get(h.segment)
            where.append(f"{names} at 0x{h.va:08x} ({s.type if s is not None else '?'})")
        words += ". " + "; ".join(where) + (f" and {len(held) - 4} more" if len(held) > 4 else "")
    elif f is not None and (pids := look.owners(pa)):
        words += f". Of {', '.join(look.name(pid) for pid in pids)}"
    image = look.m.images.now.get(f.image) if f is not None else None
    if image is not None:
        words += f". {image.path}, byte {f.daddr if f is not None else 0:,} on"
    return words + "."


KEYS: Final = (
    ("→ n", "the next event", "← p", "back one"),
    ("f F", "next, last page fault", "c C", "next, last of this class"),
    ("PgDn PgUp", "ten events on, back", "Home End", "the start; the newest, the end"),
    ("space", "run, pause", "+ -", "faster, slower"),
    ("Tab", "another process's memory", "a", "list all events, or as -e says"),
    ("m", "arrows choose a frame", "l Enter", "the life of that frame"),
    ("/ N", "search; search on", "o", "what the program wrote"),
    ("?", "help", "q", "quit"),
)

HELP: Final = """\
A machine stands still at an event, or a recorded run is shown at one. Everything on the screen is as it was at that \
moment. Cells that have changed since the last moment are shown reversed.

PHYSICAL MEMORY, one cell for each frame (4096 bytes):
  a..z  a process's own page: the letter and colour of that process
  2..9  shared after fork by so many: copied on the first write (+ is more)
  =     in a segment that several processes have
  C     a page of a file in the page cache, and in use     I  likewise, unused
  W     on its way to swap     .  free
  D     page directory   T  page table   K  the kernel's table   P  spare

VIRTUAL MEMORY, of one process, one letter for each page; colours as above:
  w  mapped, may be written          r  mapped, may be read
  c  mapped to be read; the first write copies it
  m  in memory, but not in the page table: the next touch is a fault
  s  on swap                         .  nothing yet

The pager puts pages out when fewer frames are free than its headroom; programs \
wait for memory when there are no more than highwater.
"""
