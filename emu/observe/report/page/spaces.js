// Virtual memory at the moment: of one process, its segments and what is at each page.

const CELLS = 1500; // drawn of one segment
const BUTTONS = 64; // processes to choose from
const FAR = 24; // pages of nothing between two that are something, and the gap is told in words

class Spaces {
  constructor(view, owners, map, root) {
    Object.assign(this, { view, owners, map });
    this.list = root.querySelector("#procs");
    this.body = root.querySelector("#spacebody");
    view.on("choice", () => this.draw());
  }

  draw() {
    const seen = this.map.seen;
    if (!seen) return;
    const { m } = seen;
    const pids = Array.from(m.places.keys()).sort((a, b) => a - b);
    if (!pids.includes(this.view.pid)) this.view.pid = this.last && pids.includes(this.last) ? this.last : pids[0] ?? 0;
    this.last = this.view.pid;
    this.list.replaceChildren(
      ...pids.slice(0, BUTTONS).map((pid) => {
        const b = make("button", {}, swatch(this.owners.color(pid), this.owners.letter(pid), this.owners.name(pid)));
        b.setAttribute("aria-pressed", String(pid === this.view.pid));
        b.onclick = () => this.view.chooseProcess(pid);
        return b;
      }),
      pids.length > BUTTONS ? `${pids.length - BUTTONS} more: click a name in the timeline` : "",
    );
    if (!this.view.pid) {
      this.body.replaceChildren(make("p", { className: "note" }, "No process has a segment at this moment."));
      return;
    }
    const maps = m.maps.get(m.directories.get(this.view.pid)) ?? new Map();
    const row = m.places.get(this.view.pid);
    const note = make("p", { className: "note" }, "a letter: whose frame is there; pale: the page table does not have it (the next touch is a fault); S: on swap");
    const known = Array.from(row).filter(([, id]) => m.segments.has(id)); // a trace may lack some
    const segments = known.sort((a, b) => m.segments.get(a[1]).base - m.segments.get(b[1]).base);
    this.body.replaceChildren(note, ...segments.map(([slot, id]) => this.segment(seen, id, slot, maps)));
  }

  segment(seen, id, slot, maps) {
    const { m } = seen;
    const s = m.segments.get(id);
    const entries = m.entries.get(id) ?? new Map();
    const pages = (s.top - s.base) / PAGE;
    const resident = Array.from(entries.values()).filter((e) => !onSwap(e)).length;
    const swapped = entries.size - resident;
    const sharers = (seen.sharers.get(id) ?? []).length;
    const words = [
      `${s.type} ${hex(s.base)}-${hex(s.top)}`,
      `${many(pages, "page")}, ${resident} in memory`,
      swapped ? `${swapped} on swap` : "",
      s.image !== NOIMAGE ? `of ${imageName(m, s.image)}` : "",
      sharers > 1 ? `shared by ${sharers}` : "",
    ];
    const cells = make("div", { className: "pages" });
    let next = 0;
    let drawn = 0;
    const keys = Array.from(entries.keys()).sort((a, b) => a - b);
    const empty = (from, to) => {
      if (to - from > FAR) cells.append(make("span", { className: "gap" }, `${(to - from).toLocaleString("en")} not touched`));
      else for (let n = from; n < to; n++) cells.append(this.cell(seen, s, n, undefined, maps));
    };
    for (const n of keys) {
      if (drawn++ >= CELLS) break;
      empty(next, n);
      cells.append(this.cell(seen, s, n, entries.get(n), maps));
      next = n + 1;
    }
    if (keys.length > CELLS) cells.append(make("span", { className: "gap" }, `${keys.length - CELLS} more`));
    else empty(next, Math.max(pages, next));
    return make("div", { className: "segment" }, make("div", {}, words.filter(Boolean).join("  ")), cells);
  }

  cell(seen, s, n, e, maps) {
    const va = s.base + n * PAGE;
    const b = make("button", { className: "cell", tabIndex: -1 });
    const colors = theme();
    if (e === undefined) {
      b.style.background = colors.free;
      b.title = `${hex(va)}: nothing yet`;
      b.disabled = true;
      return b;
    }
    if (onSwap(e)) {
      b.textContent = "S";
      b.style.background = colors.free;
      b.style.color = colors.ink;
      b.style.boxShadow = `inset 0 0 0 2px ${COLORS.vermilion}`;
      b.title = `${hex(va)}: slot ${hex(frameOf(e), 1)} of swap`;
      return b;
    }
    const look = this.map.look(seen, e, colors);
    const mapped = maps.get(va / PAGE);
    b.textContent = look.letter;
    b.style.background = look.colors.length > 1 ? `linear-gradient(135deg, ${look.colors[0]} 50%, ${look.colors[1]} 50%)` : look.colors[0];
    b.style.color = look.colors.length > 1 ? "#000" : inkOn(look.colors[0]);
    if (look.edge) b.style.boxShadow = `inset 0 -4px ${look.edge}`;
    if (mapped === undefined) b.style.opacity = "0.6";
    const access = mapped === undefined ? "not in the page table" : mapped % 4 >= WRITE ? "writable" : "read-only";
    b.title = `${hex(va)}: frame ${hex(e)}, ${access}\n${this.map.words(e)}`;
    b.onclick = () => this.view.chooseFrame(e);
    return b;
  }
}
