"""Draws docs/pictures/view.svg anew, and the screen in docs/view.md: python -m tests.emu.view.picture"""

from __future__ import annotations

import asyncio
import re
from io import StringIO
from typing import Final

from rich.console import Console

from emu.machine.config import Config
from emu.session.live import Live
from emu.view.app import View
from emu.view.session import Session
from tests.e2e.harness import ROOT
from tests.emu.view.faked import of
from tests.pictures import DIR, FRAME

WIDTH, HEIGHT = 80, 24
COPY: Final = 4  # which of cow 4's copies is shown
PAGE: Final = ROOT / "docs" / "view.md"
SCREEN: Final = re.compile(r"(?<=```text screen\n)(?:(?!```).*\n)*")


def screen() -> tuple[str, str]:
    """The view of ``cow 4`` when the child has written some of its pages: as text, and as SVG."""
    live = Live(Config(), "cow", ["4"])
    live.start()
    view = View(Session(live, of()), "cow 4")
    console = Console(
        width=WIDTH, height=HEIGHT, file=StringIO(), force_terminal=True, color_system="truecolor", record=True,
        legacy_windows=False, safe_box=False,
    )  # fmt: skip

    async def draw() -> None:
        async with view.run_test(size=(WIDTH, HEIGHT)) as pilot:
            await pilot.pause()
            copies = 0
            while copies < COPY:
                await pilot.press("f")
                await settled(view)
                copies += getattr(view.session.event, "cls", "") == "cow-copy"
            view.renew()
            await pilot.pause()
            console.print(view.screen._compositor.render_update(full=True))

    try:
        asyncio.run(draw())
    finally:
        live.close()
    text = console.export_text(clear=False, styles=False)
    svg = console.export_svg(title="", code_format=FRAME, unique_id="p9emu")
    return rows(text), "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


async def settled(view: View) -> None:
    """Until what the last key asked for has come."""
    s = view.session
    while not s.source.still or s.source.items or s.target is not None or s.at != s.newest:
        await asyncio.sleep(0.01)


def rows(text: str) -> str:
    """Without blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n"


def main() -> None:
    text, svg = screen()
    (DIR / "view.svg").write_text(svg)
    PAGE.write_text(SCREEN.sub(lambda _: text, PAGE.read_text(), count=1))


if __name__ == "__main__":
    main()
