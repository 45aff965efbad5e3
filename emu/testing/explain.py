"""What an assertion about events says when it fails."""

from __future__ import annotations

from emu.api.log import Count, Counts, line
from kernel.base.event import Event

SHOWN = 20  # events of one number


def explain(op: str, left: object, right: object) -> list[str] | None:
    """Lines for a failed ``left op right``, if one of them is a number of events, or numbers by name."""
    if isinstance(right, Count) and not isinstance(left, Count):
        return explain({"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(op, op), right, left)
    if isinstance(left, Count) and isinstance(right, int):
        return [f"{int(left)} {left.what} {op} {int(right)}", *_events(left, _bound(op, int(right)))]
    if isinstance(right, Counts) and not isinstance(left, Counts):
        return explain(op, right, left)
    if isinstance(left, Counts) and isinstance(right, dict) and op == "==":
        lines = [f"{dict(left)} == {dict(right)}"]
        for name in sorted(left.keys() | right.keys()):
            n, expected = left.get(name, 0), right.get(name, 0)
            if n != expected:
                lines.append(f"{name}: {n}, not {expected}")
                if isinstance(n, Count):
                    lines += _events(n, expected)
        return lines
    return None


def _bound(op: str, n: int) -> int | None:
    """How many there may be at the most, None if any number."""
    return {"==": n, "<=": n, "<": n - 1}.get(op)


def _events(count: Count, bound: int | None) -> list[str]:
    """The events, those beyond the bound marked with +."""
    if not count.events:
        return ["  there is none"]
    over = len(count.events) if bound is None else max(bound, 0)
    first = max(0, min(over, len(count.events)) - SHOWN // 2) if len(count.events) > SHOWN else 0
    lines = [f"  ... {first} before"] if first else []
    for i, ev in enumerate(count.events[first : first + SHOWN], first):
        lines.append(f"{'+' if i >= over else ' '} {_line(ev)}")
    left = len(count.events) - first - SHOWN
    return [*lines, f"  ... {left} more"] if left > 0 else lines


def _line(ev: Event) -> str:
    return f"[{ev.pid}] {' '.join(line(ev).split())}"
