"""p9emu info, disasm and guests: what can be told without running anything."""

import io
import sys
from collections.abc import Iterable

from emu.cli.ends import needstdout
from emu.cli.wrap import wrapped
from emu.failure import BROKEN, Failure
from emu.plain import plain
from emu.program.aout import DATASYMS, MAXSYMBOLS, MAXSYMS, TEXTSYMS, Aout, AoutError, load
from emu.program.find import resolve


def info(program: str, json: bool) -> None:
    """Print program's header, segments and symbol counts. Raises Failure."""
    try:
        aout = load(resolve(program))
        put([_info_json(aout)] if json else _info_text(aout))
    except AoutError as e:
        raise Failure(str(e), e.status) from None


def disasm(program: str, symbol: str | None) -> None:
    """Print a listing of program's text, or of one function. Raises Failure."""
    from emu.program.disasm import listing

    try:
        put(listing(load(resolve(program)), symbol))
    except AoutError as e:
        raise Failure(str(e), e.status) from None
    except LookupError as e:
        raise Failure(str(e.args[0]), 1) from None


def guests(json: bool, verbose: bool) -> None:
    """Print the bundled programs, with their descriptions if verbose."""
    import guest

    known = guest.guests()
    if json:
        from emu.observe.jsonl import VERSION, dumps

        put([dumps({"v": VERSION, "guests": [_guest(g.name, g.synopsis, g.description) for g in known]})])
        return
    width = max((len(g.name) for g in known), default=0)
    for i, g in enumerate(known):
        if not verbose:
            put([f"{g.name:<{width}}  {g.synopsis}"])
            continue
        put([""] if i else [])
        put([f"{g.name}: {g.synopsis}", *(f"    {line}".rstrip() for line in g.description.strip().splitlines())])


def variants(json: bool) -> None:
    """Print the switches of the kernel, fixes first."""
    from dataclasses import asdict

    from kernel.base.variant import fixes, originals

    if json:
        from emu.observe.jsonl import VERSION, dumps

        tables = {"fixes": fixes(), "originals": originals()}
        put([dumps({"v": VERSION, **{name: [asdict(r) for r in rows.values()] for name, rows in tables.items()}})])
        return
    for option, rows in (("--fix", fixes()), ("--original", originals())):
        put(wrapped((f"{option} {row}" for row in rows.values()), sys.stdout))


def _guest(name: str, synopsis: str, description: str) -> dict[str, str]:
    return {"name": name, "synopsis": synopsis, "description": description}


def put(lines: Iterable[str]) -> None:
    """Print lines on standard output; what its encoding lacks is escaped. Raises Failure, or BrokenPipeError."""
    needstdout()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.stdout.writelines(f"{line}\n" for line in lines)
    except BrokenPipeError:
        raise
    except OSError as e:
        raise Failure(f"cannot write standard output: {e.strerror}", BROKEN) from None


def _counts(aout: Aout) -> tuple[int, int, int]:
    """The number of symbols: all, of text, of data and bss."""
    types = [s.type for s in aout.symbols]
    return len(types), sum(t in TEXTSYMS for t in types), sum(t in DATASYMS for t in types)


def _info_text(aout: Aout) -> Iterable[str]:
    name, offset = aout.symbol(aout.entry)
    where = f"  {plain(name)}" + (f"+0x{offset:x}" if offset else "") if name else ""
    total, text, data = _counts(aout)
    cut = " (the table is cut short or damaged)" if aout.syms and not total else ""
    if aout.syms > MAXSYMS or total == MAXSYMBOLS:
        cut = " (the first; the table goes on)"
    yield f"{plain(aout.path)}: Plan 9 386 executable"
    yield f"  magic    0x{aout.magic:08x}"
    for word in ("text", "data", "bss", "syms", "spsz", "pcsz"):
        yield f"  {word:<8} {getattr(aout, word)}"
    yield f"  entry    0x{aout.entry:08x}{where}"
    yield f"  symbols  {total}, {text} text, {data} data{cut}"
    yield "  segment  base       top        pages  file offset  file bytes"
    for seg in aout.segments:
        from_file = f"{seg.start:>11}  {seg.filelen:>10}" if seg.filelen else f"{'-':>11}  {'-':>10}"
        yield f"  {seg.name:<8} 0x{seg.base:08x} 0x{seg.top:08x} {seg.pages:>5}  {from_file}"


def _info_json(aout: Aout) -> str:
    from emu.observe.jsonl import VERSION, dumps

    total, text, data = _counts(aout)
    obj: dict[str, object] = {"v": VERSION, "path": aout.path, "machine": "386"}
    for word in ("magic", "text", "data", "bss", "syms", "entry", "spsz", "pcsz"):
        obj[word] = getattr(aout, word)
    obj["symbols"] = {"total": total, "text": text, "data": data}
    obj["segments"] = [
        {
            "name": seg.name,
            "base": seg.base,
            "top": seg.top,
            "pages": seg.pages,
            "file_offset": seg.start,
            "file_bytes": seg.filelen,
        }
        for seg in aout.segments
    ]
    return dumps(obj)
