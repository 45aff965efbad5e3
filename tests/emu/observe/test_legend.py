"""The legend has every word that a trace can print: the lists are the kernel's own."""

from typing import get_args

from emu.observe import legend
from kernel.base.event import Event, FaultClass, FaultSegment, words
from kernel.base.procdat import STATENAME
from tests.emu.observe.test_observe import EVENTS

KINDS = {cls.kind: cls for cls in Event.__subclasses__() if cls.__module__ == Event.__module__}


def test_events() -> None:
    assert set(legend.EVENTS) == set(KINDS) == {ev.kind for ev in EVENTS}


def test_classes_and_segments_of_faults() -> None:
    assert set(legend.CLASSES) == set(get_args(FaultClass))
    segments = {s for arg in get_args(FaultSegment) for s in (get_args(arg) or (arg,))}
    assert set(legend.SEGMENTS) == {s or "-" for s in segments}
    assert set(words(KINDS["segment"])["type"]) < set(legend.SEGMENTS)


def test_what_happens_in_each_kind_of_event() -> None:
    ops = {kind: set(words(cls)["op"]) for kind, cls in KINDS.items() if "op" in words(cls)}
    assert {kind: set(of) for kind, of in legend.OPS.items()} == ops


def test_other_words_of_fields_are_explained() -> None:
    told = {word.strip() for key in (*legend.WORDS, *legend.CLASSES, *legend.SEGMENTS) for word in key.split(",")}
    for kind, cls in KINDS.items():
        for name, values in words(cls).items():
            if name != "op":
                assert {v for v in values if v} - told - {"kernel"} == set(), (kind, name)
    assert any(word.startswith("kernel ") for word in legend.WORDS)


def test_states() -> None:
    assert set(legend.STATES) == set(STATENAME)


def test_it_fits_a_terminal_and_each_word_is_in_it() -> None:
    text = legend.legend()
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    for title, section in legend.sections().items():
        assert title in lines
        for word, meaning in section.items():
            assert f"  {word:<11} {meaning}" in lines
