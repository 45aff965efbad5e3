"""``python -m tests.benchdocs FILE``: the tables that p9emu bench --format markdown wrote, into docs/performance.md.

A table stands below a comment with its name. Those that FILE has take the place of the document's; the rest stays.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
TABLE = re.compile(r"^<!-- (\w+) -->\n((?:\|.*\n)+)", flags=re.MULTILINE)


def tables(text: str) -> dict[str, str]:
    """The tables of a text by name."""
    return {m[1]: m[2] for m in TABLE.finditer(text)}


def renewed(page: str, text: str) -> str:
    """The page with the tables of the text."""
    new = tables(text)
    return TABLE.sub(lambda m: f"<!-- {m[1]} -->\n{new.get(m[1], m[2])}", page)


def main(name: str) -> int:
    """The command."""
    text = Path(name).read_text()
    if not tables(text):
        sys.stderr.write(f"{name} has no tables\n")
        return 1
    PAGE.write_text(renewed(PAGE.read_text(), text))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
