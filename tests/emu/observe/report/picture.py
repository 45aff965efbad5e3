"""Draws docs/pictures/report.png anew: python -m tests.emu.observe.report.picture"""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

from tests.e2e.harness import ROOT, p9emu
from tests.emu.observe.report.browser import Browser

WIDTH = 1180


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "report.html"
        p9emu("report", "-o", str(path), "cow", "20")
        browser = Browser(WIDTH, 1000)
        try:
            browser.open(path)
            browser.call(
                "Emulation.setDeviceMetricsOverride", width=WIDTH, height=2400, deviceScaleFactor=1, mobile=False
            )
            browser.settle()
            browser.settle()
            edges = "(a, b) => [a.getBoundingClientRect().top, b.getBoundingClientRect().bottom]"
            ends = "document.getElementById('bar'), document.getElementById('spaces')"
            top, bottom = browser.ask(f"({edges})({ends})")
            clip = {"x": 0, "y": top, "width": WIDTH, "height": bottom - top + 8, "scale": 1}
            data = browser.call("Page.captureScreenshot", format="png", clip=clip)["data"]
        finally:
            browser.close()
    (ROOT / "docs/pictures/report.png").write_bytes(base64.b64decode(data))


if __name__ == "__main__":
    main()
