"""Physical memory as a map: one cell for each frame."""

from __future__ import annotations

from typing import Final, NamedTuple

from emu.observe.model.model import Model
from emu.view.look import Cell, Look
from emu.view.paint import BLACK, DIM, WHITE, Line, Paint
from kernel.base.mem import BY2PG

LABEL: Final = 9  # columns: an address and a blank
CHOSEN: Final = Paint(BLACK, WHITE, bold=True, reverse=True, underline=True)


class Row(NamedTuple):
    """Frames that stand side by side, or, where none was ever used, all of a stretch in words."""

    base: int
    frames: int
    gap: bool

    def all(self) -> range:
        """The frames' addresses."""
        return range(self.base, self.base + self.frames * BY2PG, BY2PG)


class PageMap:
    """The map, scrolled to where something happens. Frames that changed since the moment before are reversed."""

    def __init__(self) -> None:
        self.columns = 32
        self.top = 0  # the first row that is shown
        self.shown: list[Row] = []  # rows on the screen
        self._at = -1
        self._cells: dict[int, Cell] = {}  # at the moment that is shown
        self._before: dict[int, Cell] = {}  # at the one before
        self._rows: list[Row] = []
        self._known: tuple[int, ...] = ()

    def draw(
        self, look: Look, at: int, touched: set[int], width: int, height: int, focus: int, chosen: int | None
    ) -> list[Line]:
        """The map as lines. ``focus`` is the frame that must be seen, 0 if none, ``chosen`` the one that is marked."""
        self.columns = columns(width)
        rows = self.rows(look.m, touched)
        if at != self._at:
            self._before, self._cells, self._at = self._cells, {}, at
        self._scroll(rows, focus, height)
        self.shown = rows[self.top : self.top + height]
        look.meet(pa for row in self.shown if not row.gap for pa in row.all())
        return [self._line(look, row, chosen) for row in self.shown]

    def rows(self, m: Model, touched: set[int]) -> list[Row]:
        """All rows. Which have cells depends on what was ever used, so that they stay as time goes to and fro."""
        pool = pool_of(m, touched)
        known = (len(touched), self.columns, *pool)
        if known == self._known:
            return self._rows
        self._known = known
        base, pages = pool
        n = self.columns
        used = sorted({(pa - base) // BY2PG // n for pa in touched if base <= pa < base + pages * BY2PG})
        rows: list[Row] = []
        next_ = 0
        for r in [*used, -(-pages // n)]:
            if r > next_:
                rows.append(Row(base + next_ * n * BY2PG, min((r - next_) * n, pages - next_ * n), True))
            if r * n < pages:
                rows.append(Row(base + r * n * BY2PG, min(n, pages - r * n), False))
            next_ = r + 1
        self._rows = rows
        return rows

    def frame(self, x: int, y: int) -> int | None:
        """The frame at a place of the map as it was drawn last."""
        if not 0 <= y < len(self.shown):
            return None
        row = self.shown[y]
        if row.gap or not 0 <= x - LABEL < row.frames:
            return None
        return row.base + (x - LABEL) * BY2PG

    def move(self, frame: int, dx: int, dy: int) -> int:
        """The frame that lies so far from another one; rows that have no cells are skipped. None beyond the edges."""
        cells = [row for row in self._rows if not row.gap]
        y = next((i for i, row in enumerate(cells) if frame in row.all()), None)
        if y is None:
            return cells[-1].base if cells else frame
        x = (frame - cells[y].base) // BY2PG
        y = min(max(y + dy, 0), len(cells) - 1)
        return cells[y].base + min(max(x + dx, 0), cells[y].frames - 1) * BY2PG

    def _scroll(self, rows: list[Row], focus: int, height: int) -> None:
        most = max(len(rows) - height, 0)
        y = next((i for i, row in enumerate(rows) if focus in row.all()), None)
        if y is not None and not self.top <= y < self.top + height:
            self.top = y - height // 2
        self.top = min(max(self.top, 0), most)

    def _line(self, look: Look, row: Row, chosen: int | None) -> Line:
        label = (f"{row.base:08x} ", DIM)
        if row.gap:
            return [label, (f". . . {row.frames:,} frames never used", DIM)]
        line: Line = [label]
        for pa in row.all():
            cell = look.cell(pa)
            self._cells[pa] = cell
            if pa == chosen:
                paint = CHOSEN
            elif self._before.get(pa, cell) != cell:
                paint = cell.paint._replace(dim=False, reverse=True)
            else:
                paint = cell.paint
            if len(line) > 1 and line[-1][1] == paint:
                line[-1] = (line[-1][0] + cell.letter, paint)
            else:
                line.append((cell.letter, paint))
        return line


def columns(width: int) -> int:
    """How many cells stand in a row: a power of two, so that addresses are round."""
    return 1 << max((width - LABEL).bit_length() - 1, 3)


def pool_of(m: Model, touched: set[int]) -> tuple[int, int]:
    """The address of the pool's first frame and how many it has; if the trace does not tell, as far as is used."""
    machine = m.machine.now.get(0)
    if machine is not None:
        return machine.base, machine.pages
    low = min(touched, default=0)
    return low, (max(touched, default=-BY2PG) - low) // BY2PG + 1
