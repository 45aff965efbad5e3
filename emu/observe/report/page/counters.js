// Memory along the axis: who has how much, what is cached, free, on swap; below, faults in equal stretches of it.

const [PLOT, RATE] = [150, 64];
const AREAS = 14; // processes with an area of their own
const BINS = 200; // stretches, at most, in which faults are counted

// How long a stretch is, so that there are at most BINS: 1, 2 or 5 times a power of ten, however wide the picture is.
function binOf(range) {
  const least = range / BINS;
  for (let unit = 1; ; unit *= 10) for (const n of [1, 2, 5]) if (n * unit >= least) return n * unit;
}

class Counters {
  constructor(view, history, owners, root) {
    Object.assign(this, { view, history, owners });
    this.canvas = new Canvas(root.querySelector("canvas"), (ctx, w, h) => this.draw(ctx, w, h));
    this.canvas.height = AXIS + PLOT + 14 + RATE + 6;
    this.layer = new Layer((...place) => this.drawLayer(...place)); // all but the moment
    view.on("range", () => this.renew());
    view.on("moment", () => this.canvas.redraw());
    steer(view, this.canvas, (x, y, t) => this.words(t));
    const peak = history.used.reduce((best, n, i) => (n > history.used[best] ? i : best), 0);
    this.top = Math.max(history.used[peak], 1);
    this.peak = this.served(peak);
    this.most = history.swapped.reduce((a, b) => Math.max(a, b), 0);
    this.layers = this.stack(history.samples);
    this.highest = Math.max(this.top, this.most, ...this.layers.at(-1)?.above ?? [0]);
    const legend = root.querySelector("#counterlegend");
    legend.append(...this.layers.map(({ pid, color }) => swatch(color, pid ? owners.letter(pid) : "", pid ? owners.name(pid) : "others")));
    legend.append(make("span", {}, "lines: — in use, ┄ cached, ··· on swap; areas: pages of each process, those that several have divided among them"));
  }

  // The event at which what was begun is done: the fault that took the page, if memory is as full until then.
  served(n) {
    const { events } = this.view;
    for (let i = n; i < Math.min(n + 12, events.length); i++) {
      if (this.history.used[i + 1] !== this.history.used[n]) break;
      if (events.kindOf(i) === "fault") return i + 1;
    }
    return n;
  }

  renew() {
    this.layer.stale = true;
    this.canvas.redraw();
  }

  draw(ctx, w, h) {
    this.layer.show(ctx, w, h);
    drawMoment(ctx, this.view, w, h, theme());
  }

  drawLayer(ctx, w, h) {
    const { view, history } = this;
    const colors = theme();
    const px = (t) => GUTTER + ((t - view.a) / (view.b - view.a)) * (w - GUTTER);
    drawAxis(ctx, view, w, 0, h, colors);
    const base = AXIS + PLOT;
    const top = this.highest;
    const py = (n) => base - (n / top) * (PLOT - 8);
    ctx.save();
    ctx.beginPath();
    ctx.rect(GUTTER, 0, w - GUTTER, h);
    ctx.clip();
    this.areas(ctx, px, py, base);
    const n = view.events.length;
    const line = (values, style, width, color) => {
      ctx.strokeStyle = color;
      ctx.setLineDash(style);
      ctx.lineWidth = width;
      ctx.beginPath();
      let last = 0;
      for (let p = GUTTER - 1; p <= w; p++) {
        const k = view.at(view.a + ((p + 1 - GUTTER) / (w - GUTTER)) * (view.b - view.a));
        let high = values[k]; // the highest within the pixel
        const stride = Math.max(1, Math.floor((k - last) / 64));
        if (p >= GUTTER) for (let i = last; i < k; i += stride) if (values[i] > high) high = values[i];
        last = k;
        if (p < GUTTER) ctx.moveTo(p, py(high));
        else ctx.lineTo(p, py(high));
        if (k >= n) break;
      }
      ctx.stroke();
      ctx.setLineDash([]);
    };
    line(history.used, [], 2, colors.ink);
    line(history.cached, [6, 4], 1.5, colors.ink);
    if (this.most) line(history.swapped, [2, 3], 2, COLORS.vermilion);
    this.rates(ctx, px, w, base + 14, colors);
    ctx.restore();
    ctx.fillStyle = colors.soft;
    ctx.font = "11px system-ui, sans-serif";
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    for (const [k, label] of this.marks()) ctx.fillText(label, GUTTER - 8, py(k));
    for (const [i, label] of this.rateMarks().entries()) ctx.fillText(label, GUTTER - 8, base + 14 + [6, RATE - 22, RATE - 8][i]);
  }

  // What stands beside the pages, and how high: nothing twice.
  marks() {
    const { used, cached, swapped } = this.history;
    if (![used, cached, swapped].some((values) => values.some((n) => n > 0))) return [[0, "no pages known"]];
    const top = this.highest;
    return Array.from(new Set([0, Math.round(top / 2), Math.round(top)])).map((k) => [k, many(k, "page")]);
  }

  // What stands beside the faults: the most, and of which stretch they are counted.
  rateMarks() {
    const bin = binOf(this.view.b - this.view.a);
    return [this.busiest.toLocaleString("en"), "faults in each", this.view.byTime ? duration(bin) : many(bin, "event")];
  }

  // The areas, one upon the other: the processes that have most, by number, and the others together.
  stack(samples) {
    const most = new Map();
    for (const s of samples) for (const [pid, n] of s.residents) most.set(pid, Math.max(most.get(pid) ?? 0, n));
    const shown = Array.from(most.keys()).sort((a, b) => most.get(b) - most.get(a)).slice(0, AREAS).sort((a, b) => a - b);
    const layers = [];
    let below = new Float64Array(samples.length);
    const add = (pid, color, of) => {
      const above = Float64Array.from(samples, (s, i) => below[i] + of(s));
      layers.push({ pid, color, below, above });
      below = above;
    };
    for (const pid of shown) add(pid, this.owners.color(pid), (s) => s.residents.get(pid) ?? 0);
    if (most.size > AREAS) {
      const own = new Set(shown);
      add(0, COLORS.grey, (s) => Array.from(s.residents).reduce((sum, [pid, n]) => sum + (own.has(pid) ? 0 : n), 0));
    }
    return layers;
  }

  areas(ctx, px, py, base) {
    const { samples } = this.history;
    const { view } = this;
    const at = samples.map((s) => (s.at ? view.x[s.at - 1] : 0));
    const first = Math.max(upTo(at, view.a) - 1, 0);
    const last = Math.min(upTo(at, view.b), samples.length - 1);
    for (const { color, below, above } of this.layers) {
      ctx.beginPath();
      for (let i = first; i <= last; i++) {
        if (i > first) ctx.lineTo(px(at[i]), py(above[i - 1]));
        ctx.lineTo(px(at[i]), py(above[i]));
      }
      for (let i = last; i >= first; i--) {
        ctx.lineTo(px(at[i]), py(below[i]));
        if (i > first) ctx.lineTo(px(at[i]), py(below[i - 1]));
      }
      ctx.globalAlpha = 0.55;
      ctx.fillStyle = color;
      ctx.fill();
      ctx.globalAlpha = 1;
    }
  }

  rates(ctx, px, w, top, colors) {
    const { view } = this;
    const { events, x } = view;
    const table = events.byKind.fault;
    this.busiest = 0;
    if (!table) return;
    const bin = binOf(view.b - view.a);
    const bars = new Map();
    let most = 0;
    // the stretches at both ends are counted whole
    const last = upTo(table.at, (Math.floor(view.b / bin) + 1) * bin - 0.5, x);
    for (let k = upTo(table.at, Math.floor(view.a / bin) * bin - 0.5, x); k < last; k++) {
      const p = Math.floor(x[table.at[k]] / bin);
      let bar = bars.get(p);
      if (!bar) bars.set(p, (bar = { sum: 0, by: new Map() }));
      bar.by.set(table.columns.cls[k], (bar.by.get(table.columns.cls[k]) ?? 0) + 1);
      most = Math.max(most, ++bar.sum);
    }
    for (const [p, bar] of bars) {
      let y = top + RATE;
      for (const [cls, n] of bar.by) {
        const part = Math.max((n / most) * RATE, 1.5);
        ctx.fillStyle = classOf(events.strings[cls])[1];
        ctx.fillRect(px(p * bin), y - part, Math.max(px((p + 1) * bin) - px(p * bin) - 0.4, 1), part);
        y -= part;
      }
    }
    this.busiest = most;
    ctx.strokeStyle = colors.line;
    ctx.strokeRect(GUTTER, top, w, RATE);
  }

  words(t) {
    const { history, view } = this;
    const k = view.at(t);
    const pages = history.pages ? `\n${many(history.pages - history.used[k], "page")} free` : "";
    return `${view.label(t)}\n${many(history.used[k], "page")} in use (${bytesOf(history.used[k])})${pages}\n${history.cached[k].toLocaleString("en")} cached\n${history.swapped[k].toLocaleString("en")} on swap`;
  }
}
