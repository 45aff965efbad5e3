"""Reports in a real Chromium: what is drawn, moved and clicked; that the browser's model is ours; and no complaints."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from emu.observe.model import look
from emu.observe.model.model import Model
from emu.observe.report.file import WholeFile
from emu.observe.report.report import Report
from emu.observe.report.words import About
from kernel.base.event import Event
from tests.e2e.harness import run
from tests.emu.observe.report.browser import Browser

pytestmark = pytest.mark.browser


@dataclass
class Made:
    """A report, and the events that it was made of."""

    path: Path
    events: list[Event]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    b = Browser()
    try:
        yield b
    finally:
        b.close()


@pytest.fixture(autouse=True)
def no_complaints(browser: Browser) -> Iterator[None]:
    browser.errors.clear()
    yield
    browser.call("Runtime.evaluate", expression="1")  # what is underway arrives
    assert browser.errors == []


def made(path: Path, program: str, *args: str, **config: Any) -> Made:
    report = Report()
    stream = run(program, *args, trace=True, check=False, **config).events
    for ev in stream:
        report(ev)
    report.write(WholeFile(str(path)), About(f"p9emu report {program}", status=0))
    return Made(path, stream)


@pytest.fixture(scope="module")
def swapping(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(tmp_path_factory.mktemp("r") / "swap.html", "pressure", memory=8 << 20, swap=16 << 20)


@pytest.fixture(scope="module")
def cow(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(tmp_path_factory.mktemp("r") / "cow.html", "cow", "20", cpus=2)


def moments(stream: list[Event]) -> list[int]:
    n = len(stream)
    return sorted({*(n * i // 12 for i in range(13)), 1, 8191, 8192, 8193} & set(range(n + 1)))


@pytest.fixture(scope="module")
def segs(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(tmp_path_factory.mktemp("r") / "segs.html", "segs")


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(tmp_path_factory.mktemp("r") / "forks.html", "forkbomb", "12", cpus=4)


@pytest.mark.parametrize("name", ["swapping", "cow", "segs", "forks"])
def test_the_browsers_model_is_ours(browser: Browser, request: pytest.FixtureRequest, name: str) -> None:
    report: Made = request.getfixturevalue(name)
    browser.open(report.path)
    model, at = Model(), 0
    expected: dict[int, tuple[dict[str, int], int, int, list[tuple[int, int]], list[tuple[int, int]]]] = {}
    for n in moments(report.events):
        for ev in report.events[at:n]:
            model.apply(ev)
        at = n
        uses = Counter(look.purposes(model).values())
        resident = {pid: look.resident(model, pid) for pid in model.places.now}
        maps = {pdb: len(row) for pdb, row in model.maps.now.items()}
        slots = len(look.slotrefs(model))
        cached = sum(map(len, (row for c in look.cached(model).values() for row in c.values())))
        expected[n] = (dict(uses), slots, cached, sorted(resident.items()), sorted(maps.items()))
    script = """(ns => ns.map(n => {
        const m = report.history.seek(n), seen = lookAt(m), uses = {};
        const {base, pages: all} = m.machine ?? {base: 0, pages: 0};
        for (let i = 0; i < all; i++) { const p = seen.purpose(base + i * 4096); uses[p] = (uses[p] ?? 0) + 1; }
        const pages = id => Array.from(m.entries.get(id)?.values() ?? []).filter(e => e % 2 === 0).length;
        const resident = Array.from(m.places, ([pid, row]) =>
            [pid, Array.from(new Set(row.values())).reduce((sum, id) => sum + pages(id), 0)]);
        const maps = Array.from(m.maps, ([pdb, row]) => [pdb, row.size]);
        const by = (a, b) => a[0] - b[0];
        return [uses, report.history.swapped[n], report.history.cached[n], resident.sort(by), maps.sort(by)];
    }))"""
    script = script.replace("lookAt", "report.lookAt")
    for order in (1, -1):  # there and back: both ways of getting to a moment
        ns = list(expected)[::order]
        for n, told in zip(ns, browser.ask(f"{script}({ns})"), strict=True):
            want = [*expected[n][:3], *([list(p) for p in pairs] for pairs in expected[n][3:])]
            assert told == want, f"after {n} events"


def test_the_slider_moves_everything(browser: Browser, swapping: Made) -> None:
    browser.open(swapping.path)
    seen = []
    for share in (0.1, 0.9):
        n = int(len(swapping.events) * share)
        move = f"s => {{ s.value = {n}; s.dispatchEvent(new Event('input')); }}"
        browser.ask(f"({move})(document.getElementById('slider'))")
        browser.settle()
        seen.append(browser.ask("['now', 'mapnow', 'events'].map(id => document.getElementById(id).textContent)"))
        assert seen[-1][0].startswith(f"event {n:,} of {len(swapping.events):,}")
        seen.append([browser.ask("document.querySelector('#map canvas').toDataURL()"), *seen.pop()])
    assert [a == b for a, b in zip(*seen, strict=True)] == [False] * 4


def test_a_click_on_a_frame_shows_its_life(browser: Browser, swapping: Made) -> None:
    browser.open(swapping.path)
    size = browser.ask("report.map.size")
    browser.click("#map canvas", size * 3.5, size * 1.5)
    frame = browser.ask("report.view.frame")
    assert frame == browser.ask("report.map.frames[report.map.columns + 3]")
    life = browser.ask("document.getElementById('lifebody').textContent")
    assert life.startswith(f"frame 0x{frame:08x}")
    assert browser.ask("document.querySelectorAll('#lifebody li').length") == browser.ask(
        f"Array.from(report.history.lifeOf({frame})).filter(i => i < report.view.n).length"
    )
    browser.ask("document.querySelector('#map canvas').focus()")
    browser.key("ArrowRight")
    assert browser.ask("report.view.frame") == browser.ask("report.map.frames[report.map.columns + 4]")


def test_keys(browser: Browser, swapping: Made) -> None:
    browser.open(swapping.path)
    width = "report.view.b - report.view.a"
    whole = browser.ask(width)
    browser.key("+")
    browser.key("+")
    zoomed = browser.ask(width)
    assert zoomed < whole / 1.5
    at = browser.ask("report.view.a")
    browser.key("d")
    assert browser.ask("report.view.a") > at
    assert browser.ask(width) == pytest.approx(zoomed)
    browser.key("0")
    assert browser.ask(width) == whole
    browser.key("Home")
    assert browser.ask("report.view.n") == 0
    browser.key("ArrowRight", shift=True)
    assert browser.ask("report.view.n") == 100
    browser.key("End")
    assert browser.ask("report.view.n") == len(swapping.events)
    browser.key("s")
    assert browser.ask("(e => [e.event, e.op])(report.events.get(report.view.n - 1))") == ["page", "swap-in"]
    browser.key("f")
    assert browser.ask("report.events.kindOf(report.view.n - 1)") == "fault"
    browser.key("k")
    assert browser.ask("report.events.get(report.view.n - 1).op") == "exit"
    browser.key("x")
    assert not browser.ask("report.view.byTime")
    assert browser.ask(width) == pytest.approx(1.01 * (len(swapping.events) - 1))


def test_wheel_and_drag(browser: Browser, swapping: Made) -> None:
    browser.open(swapping.path)
    box = "document.querySelector('#timeline canvas').getBoundingClientRect()"
    x, y = browser.ask(f"(r => [r.left + r.width / 2, r.top + 40])({box})")
    whole = browser.ask("report.view.b - report.view.a")
    for _ in range(3):
        browser.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=-120)
    browser.wait(f"report.view.b - report.view.a < {whole} / 2")
    at = browser.ask("report.view.a")
    for kind, dx in (("mousePressed", 0), ("mouseMoved", -60), ("mouseMoved", -120), ("mouseReleased", -120)):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x + dx, y=y, button="left", buttons=1, clickCount=1)
    browser.settle()
    assert browser.ask("report.view.a") > at


def test_words_without_scripts(browser: Browser, cow: Made) -> None:
    browser.open(cow.path, scripts=False)
    text = browser.ask("document.body.innerText")
    assert "cow ran on a machine with" in text
    assert "70 page faults" in text
    assert "cow-copy" in text
    assert "The pictures need scripts" in text
    assert browser.ask("document.getElementById('pictures').hidden")


def test_dark_and_paper(browser: Browser, cow: Made) -> None:
    browser.open(cow.path, dark=True)
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = browser.ask(ground)
    browser.ask("window.dispatchEvent(new Event('beforeprint'))")
    assert browser.ask(ground) == "rgb(255, 255, 255)" != dark
    browser.ask("window.dispatchEvent(new Event('afterprint'))")
    assert browser.ask(ground) == dark
    assert len(browser.call("Page.printToPDF")["data"]) > 10_000


NUMBERS = (0, 1, 2, 3, 7, 4096, 8192, 1 << 20, (1 << 32) - 1, 1 << 40, (1 << 53) - 1, -1, -4096, 1 - (1 << 53))
WORDS = (
    "", "alloc", "free", "cache", "page-out", "swap-end", "new", "dup", "attach", "detach", "page", "swap", "none",
    "map", "table", "directory", "pool", "clear", "kmap", "run", "off", "ready", "wait", "end", "fork", "exec", "exit",
    "kill", "write", "zero-fill", "<b>\u2028</script>", "constructor", "__proto__",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_events_that_make_no_sense(browser: Browser, tmp_path: Path, seed: int) -> None:
    """A trace may be anything: nothing fails, and nothing of it is taken for HTML or for a part of the page."""
    rng = random.Random(seed)
    kinds = [cls for cls in Event.__subclasses__() if cls.__module__ == Event.__module__]
    report = Report()
    for _ in range(1500):
        cls = rng.choice(kinds)
        values: list[Any] = [
            rng.choice(NUMBERS[:8] if rng.random() < 0.8 else NUMBERS)
            if f.type in ("int", "int | None")
            else rng.choice(WORDS)
            for f in dataclasses.fields(cls)
        ]
        report(cls(*values))
    report.write(WholeFile(str(tmp_path / "r.html")), About("x"))
    browser.open(tmp_path / "r.html")
    for key in ("Home", "End", "p", "k", "x", "+", "d", "f", "ArrowLeft"):
        browser.key(key)
    browser.ask("document.getElementById('alltoggle')?.click()")
    browser.settle()
    assert browser.ask("report.view.n") > 0
    assert browser.ask("document.querySelectorAll('b').length") == 3


def test_a_trace_of_faults_alone(browser: Browser, cow: Made, tmp_path: Path) -> None:
    report = Report()
    for ev in cow.events:
        if ev.kind == "fault":
            report(ev)
    report.write(WholeFile(str(tmp_path / "r.html")), About("x"))
    browser.open(tmp_path / "r.html")
    assert "no events of these kinds" in browser.ask("document.body.innerText")
    faults = Counter(e.pid for e in cow.events if e.kind == "fault")
    assert browser.ask("report.lanes.map(l => l.faults.length)") == [faults[2], faults[3]]


def test_faults_are_counted_in_stretches_that_do_not_depend_on_the_pictures_width(browser: Browser, cow: Made) -> None:
    browser.open(cow.path)
    ns = [ev.ns for ev in cow.events if ev.kind == "fault"]
    seen = []
    for width in (1400, 700):
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        browser.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        seen.append(browser.ask("report.counters.rateMarks()"))
    browser.call("Emulation.clearDeviceMetricsOverride")
    end = max(ev.ns for ev in cow.events)
    assert seen[0] == seen[1]
    most, words, each = seen[0]
    bin = {"ns": 1, "µs": 1000}[each.split()[1]] * int(each.split()[0])
    assert words == "faults in each"
    assert end / 200 <= bin < end / 60
    assert int(most) == max(Counter(n // bin for n in ns).values())


@pytest.mark.parametrize("kinds", [{"fault", "proc"}, None])
def test_a_narrow_window_has_all_of_it(browser: Browser, cow: Made, tmp_path: Path, kinds: set[str] | None) -> None:
    report = Report()
    for ev in cow.events:
        if kinds is None or ev.kind in kinds:
            report(ev)
    report.write(WholeFile(str(tmp_path / "r.html")), About("p9emu report"))
    browser.call("Emulation.setDeviceMetricsOverride", width=600, height=900, deviceScaleFactor=1, mobile=False)
    browser.open(tmp_path / "r.html")
    assert browser.ask("document.documentElement.scrollWidth") == 600
    browser.call("Emulation.clearDeviceMetricsOverride")
    marks = [label for _, label in browser.ask("report.counters.marks()")]
    assert marks == ["no pages known"] if kinds else len(set(marks)) == 3
