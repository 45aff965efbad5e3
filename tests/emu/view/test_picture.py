"""The picture in the documents, and the screen in docs/view.md, are those of a run."""

from __future__ import annotations

import pytest

from tests.emu.view.picture import PAGE, SCREEN, screen
from tests.pictures import DIR, words

pytestmark = pytest.mark.guest


def test_the_screen_that_is_shown_is_that_of_a_run() -> None:
    text, svg = screen()
    shown = SCREEN.search(PAGE.read_text())
    assert shown is not None
    assert shown[0] == text
    picture = (DIR / "view.svg").read_text()
    assert "".join(words(picture)) == "".join(words(svg)) == "".join(text.split())
    assert "://" not in picture.replace("http://www.w3.org/2000/svg", "").replace("https://www.textualize.io", "")
