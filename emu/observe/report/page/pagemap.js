// Physical memory at the moment: one cell for each frame.

const PLACES = [28, 24, 20, 16, 12, 9, 7, 5, 4, 3, 2]; // sizes of a cell
const MAPHEIGHT = 380;

class PageMap {
  constructor(view, history, owners, root) {
    Object.assign(this, { view, history, owners });
    this.all = false;
    this.note = root.querySelector("#mapnote");
    this.nowWords = root.querySelector("#mapnow");
    this.canvas = new Canvas(root.querySelector("canvas"), (ctx, w) => this.draw(ctx, w));
    const e = this.canvas.element;
    e.addEventListener("click", (ev) => {
      const pa = this.frameAt(ev.offsetX, ev.offsetY);
      if (pa) view.chooseFrame(pa);
    });
    e.addEventListener("pointermove", (ev) => {
      const pa = this.frameAt(ev.offsetX, ev.offsetY);
      showTip(ev, pa ? this.words(pa) : "");
    });
    e.addEventListener("pointerleave", () => showTip(null, ""));
    e.addEventListener("keydown", (ev) => this.key(ev));
    view.on("choice", () => this.canvas.redraw());
    this.frames = [];
    this.choose();
    this.legend(root.querySelector("#maplegend"));
  }

  // Which frames have a cell: those that ever were used, or all.
  choose() {
    const { history } = this;
    const all = history.pages;
    this.frames = this.all
      ? Array.from({ length: all }, (_, i) => history.base + i * PAGE)
      : history.touched.filter((pa) => !all || (pa >= history.base && pa < history.base + all * PAGE));
    this.place = new Map(this.frames.map((pa, i) => [pa, i]));
    const rest = all - history.touched.length;
    this.note.replaceChildren();
    if (rest > 0) {
      const words = this.all ? `${many(rest, "frame")} were never used. ` : `${many(rest, "frame")} that no event is about ${rest === 1 ? "is" : "are"} not drawn. `;
      const button = make("button", { id: "alltoggle" }, this.all ? "leave them out" : "draw all");
      button.onclick = () => {
        this.all = !this.all;
        this.choose();
        this.canvas.redraw();
      };
      this.note.append(words, button);
    }
  }

  legend(element) {
    element.append(
      swatch("var(--free)", "", "free"),
      swatch(OWNERS[0], "a", "a process's own"),
      swatch(OWNERS[1], "=", "shared segment"),
      swatch(OWNERS[2], "2", "copy on write, in so many segments"),
      swatch("#cfcfcf", "a", "in a page cache (grey) and used"),
      swatch("#cfcfcf", "I", "in a page cache alone"),
      swatch("#4a4a4a", "D", "directory"),
      swatch("#4a4a4a", "T", "page table"),
      swatch("#4a4a4a", "K", "kernel's map"),
      swatch("#4a4a4a", "P", "spare"),
      swatch(COLORS.vermilion, "W", "going to swap"),
    );
  }

  show(seen) {
    this.seen = seen;
    this.canvas.redraw();
    const counts = {};
    let used = 0;
    for (const pa of seen.m.frames.keys()) {
      const p = seen.purpose(pa);
      counts[p] = (counts[p] ?? 0) + 1;
      used++;
    }
    this.counts = counts;
    const told = Object.keys(PURPOSES).filter((p) => counts[p]).map((p) => `${counts[p]} ${PURPOSES[p]}`);
    const free = this.history.pages ? [`${(this.history.pages - used).toLocaleString("en")} free`] : [];
    this.nowWords.textContent = [...free, ...told].join(" · ");
  }

  layout(w) {
    const n = this.frames.length;
    this.size = PLACES.find((s) => Math.ceil(n / Math.floor(w / s)) * s <= MAPHEIGHT) ?? 2;
    this.columns = Math.max(Math.floor(w / this.size), 1);
    this.rows = Math.ceil(n / this.columns);
    const height = Math.max(this.rows * this.size + 2, 30);
    if (height !== this.canvas.height) {
      this.canvas.height = height;
      this.canvas.now();
      return false;
    }
    return true;
  }

  draw(ctx, w) {
    if (!this.seen || !w || !this.layout(w)) return;
    const { seen, size, columns } = this;
    const colors = theme();
    const gap = size >= 7 ? 1 : size >= 4 ? 0.5 : 0;
    const letters = size >= 12;
    ctx.font = `600 ${Math.round(size * 0.62)}px ui-monospace, "DejaVu Sans Mono", monospace`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    this.frames.forEach((pa, i) => {
      const x = (i % columns) * size;
      const y = Math.floor(i / columns) * size;
      const s = size - gap;
      const f = seen.m.frames.get(pa);
      if (!f) {
        ctx.fillStyle = colors.free;
        ctx.fillRect(x, y, s, s);
        return;
      }
      const look = this.look(seen, pa, colors);
      ctx.fillStyle = look.colors[0];
      ctx.fillRect(x, y, s, s);
      if (look.colors.length > 1) {
        ctx.fillStyle = look.colors[1];
        ctx.beginPath();
        ctx.moveTo(x + s, y);
        ctx.lineTo(x + s, y + s);
        ctx.lineTo(x, y + s);
        ctx.fill();
      }
      if (look.edge) {
        ctx.fillStyle = look.edge;
        ctx.fillRect(x, y + s - Math.max(s / 5, 1), s, Math.max(s / 5, 1));
      }
      if (letters) {
        ctx.fillStyle = look.colors.length > 1 ? "#000" : inkOn(look.colors[0]);
        ctx.fillText(look.letter, x + s / 2, y + s / 2 + 0.5);
      }
    });
    this.ring(ctx, this.view.frame, colors.ink, 2.5);
    this.ring(ctx, this.changed(), COLORS.vermilion, 2);
  }

  // The frame that the last event is about.
  changed() {
    const { view } = this;
    if (!view.n) return 0;
    const ev = view.events.get(view.n - 1);
    return ev.frame || 0;
  }

  ring(ctx, pa, color, width) {
    const i = this.place.get(pa);
    if (i === undefined) return;
    const s = Math.max(this.size, 6);
    ctx.strokeStyle = color;
    ctx.lineWidth = width;
    ctx.strokeRect((i % this.columns) * this.size - 0.5, Math.floor(i / this.columns) * this.size - 0.5, s, s);
  }

  // Colours and letter of a frame in use.
  look(seen, pa, colors) {
    const purpose = seen.purpose(pa);
    const owners = seen.owners(pa);
    const color = (pid) => this.owners.color(pid);
    switch (purpose) {
      case "private":
        return { colors: [color(owners[0])], letter: this.owners.letter(owners[0]) };
      case "shared":
        return { colors: owners.slice(0, 2).map(color), letter: "=" };
      case "cow":
        return { colors: owners.length ? owners.slice(0, 2).map(color) : [COLORS.grey], letter: String(Math.min(seen.held.get(pa).length, 9)) };
      case "cached":
        return { colors: ["#cfcfcf"], edge: color(owners[0]), letter: owners.length > 1 ? "+" : this.owners.letter(owners[0]) };
      case "idle":
        return { colors: ["#cfcfcf"], letter: "I" };
      case "swapping":
        return { colors: [COLORS.vermilion], letter: "W" };
      case "moving":
        return { colors: [COLORS.grey], letter: "?" };
      default:
        return { colors: ["#4a4a4a"], edge: owners.length ? color(owners[0]) : "", letter: KERNELUSE[purpose] ?? "?" };
    }
  }

  words(pa) {
    const { seen } = this;
    const purpose = seen.purpose(pa);
    const f = seen.m.frames.get(pa);
    const lines = [`frame ${hex(pa)}: ${PURPOSES[purpose]}`];
    for (const h of (seen.held.get(pa) ?? []).slice(0, 6)) {
      const s = seen.m.segments.get(h.segment);
      const who = (seen.sharers.get(h.segment) ?? []).map((pid) => this.owners.name(pid)).join(", ");
      lines.push(`${hex(h.va)} in ${s.type} (segment ${h.segment}) of ${who || "no process"}`);
    }
    if (f && f.image !== NOIMAGE) lines.push(`cached: ${imageName(seen.m, f.image)} at ${hex(f.daddr, 1)}`);
    if (f && f.use !== "page") lines.push(...seen.owners(pa).map((pid) => `of ${this.owners.name(pid)}`));
    return lines.join("\n");
  }

  frameAt(x, y) {
    const column = Math.floor(x / this.size);
    return column < this.columns ? this.frames[Math.floor(y / this.size) * this.columns + column] ?? 0 : 0;
  }

  key(ev) {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns }[ev.key];
    if (by === undefined || ev.altKey || ev.ctrlKey || ev.metaKey) return;
    ev.preventDefault();
    ev.stopPropagation();
    const i = this.place.get(this.view.frame);
    const to = i === undefined ? 0 : Math.min(Math.max(i + by, 0), this.frames.length - 1);
    if (this.frames.length) this.view.chooseFrame(this.frames[to]);
  }
}
