"""The size of a Page on a 386, before the commit and after it, from the members of the C structure.

Source: port/portdat.h, pc/dat.h and pc/mem.h of the commit and of its parent.
"""

from ctypes import Structure, c_char, c_int32, c_uint16, c_uint32
from typing import Any, Final

MAXMACH: Final = 32  # pc/mem.h, before and after
PTR: Final = c_uint32

Fields = list[tuple[str, Any]]

LOCK: Final[Fields] = [
    ("key", c_uint32),
    ("sr", c_uint32),
    ("pc", c_uint32),
    ("p", PTR),
    ("m", PTR),
    ("isilock", c_uint16),
    ("lockcycles", c_int32),
]


def layout(name: str, fields: Fields) -> type[Structure]:
    """A C structure of these members."""
    return type(name, (Structure,), {"_fields_": fields})


def before(nmach: int = MAXMACH) -> type[Structure]:
    """The Page that the commit replaced."""
    return layout(
        "Page",
        [
            ("lock", layout("Lock", LOCK)),
            ("pa", c_uint32),
            ("va", c_uint32),
            ("daddr", c_uint32),
            ("gen", c_uint32),
            ("ref", c_uint16),
            ("modref", c_char),
            ("color", c_char),
            ("cachectl", c_char * nmach),
            ("image", PTR),
            ("next", PTR),
            ("prev", PTR),
            ("hash", PTR),
        ],
    )


def after(nmach: int = MAXMACH) -> type[Structure]:
    """The commit's Page."""
    return layout(
        "Page",
        [
            ("ref", c_int32),
            ("next", PTR),
            ("pa", c_uint32),
            ("va", c_uint32),
            ("daddr", c_uint32),
            ("image", PTR),
            ("refage", c_uint16),
            ("modref", c_char),
            ("color", c_char),
            ("cachectl", c_char * nmach),
        ],
    )
