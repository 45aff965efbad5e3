// The timeline: what runs, is ready, waits; faults, calls and notes; forks as arrows.

const LANE = 34;
const AXIS = 18;
const VISIBLE = 380; // pixels of lanes seen at once
const ARROWS = 400; // drawn at most
const STUB = 14; // pixels of an arrow that leads out of sight

class Timeline {
  constructor(view, lanes, owners, root) {
    Object.assign(this, { view, lanes, owners });
    this.scroll = root.querySelector(".scroll");
    const element = root.querySelector("canvas");
    this.tall = make("div");
    this.scroll.append(this.tall);
    this.tall.append(element);
    element.style.position = "sticky";
    element.style.top = "0";
    this.canvas = new Canvas(element, (ctx, w, h) => this.draw(ctx, w, h));
    this.total = AXIS + lanes.length * LANE + 4;
    this.canvas.height = Math.min(this.total, VISIBLE);
    this.tall.style.height = `${this.total}px`;
    this.layer = new Layer((...place) => this.drawLayer(...place)); // all but the moment
    this.scroll.addEventListener("scroll", () => this.renew());
    view.on("range", () => this.renew());
    view.on("moment choice", () => this.canvas.redraw());
    steer(view, this.canvas, (x, y, t) => this.words(x, y, t));
    this.canvas.onname = (y) => {
      const lane = this.laneAt(y);
      if (lane && !lane.cpu) view.chooseProcess(lane.key);
    };
    this.measure();
  }

  measure() {
    for (const lane of this.lanes) lane.measure(this.view.x, this.view.end);
  }

  renew() {
    this.layer.stale = true;
    this.canvas.redraw();
  }

  laneAt(y) {
    return this.lanes[Math.floor((y + this.scroll.scrollTop - AXIS) / LANE)];
  }

  draw(ctx, w, h) {
    this.layer.show(ctx, w, h);
    drawMoment(ctx, this.view, w, h, theme());
  }

  drawLayer(ctx, w, h) {
    const { view } = this;
    const colors = theme();
    const top = this.scroll.scrollTop;
    this.px = (t) => GUTTER + ((t - view.a) / (view.b - view.a)) * (w - GUTTER);
    drawAxis(ctx, view, w, 0, h, colors);
    ctx.save();
    ctx.beginPath();
    ctx.rect(0, AXIS, w, h - AXIS);
    ctx.clip();
    this.lanes.forEach((lane, n) => {
      const y = AXIS + n * LANE - top;
      if (y > -LANE && y < h) this.drawLane(ctx, lane, y, w, colors);
    });
    this.drawArrows(ctx, w, h, top, colors);
    ctx.restore();
  }

  drawLane(ctx, lane, y, w, colors) {
    ctx.strokeStyle = colors.line;
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.moveTo(0, Math.round(y + LANE) - 0.5);
    ctx.lineTo(w, Math.round(y + LANE) - 0.5);
    ctx.stroke();
    this.drawName(ctx, lane, y, colors);
    ctx.save();
    ctx.beginPath();
    ctx.rect(GUTTER, y, w - GUTTER, LANE);
    ctx.clip();
    if (lane.cpu) this.drawStates(ctx, lane, y + 6, 22, w, colors);
    else {
      this.drawStates(ctx, lane, y + 3, 13, w, colors);
      this.drawFaults(ctx, lane, y + 18, 14, w);
      this.drawCalls(ctx, lane, y + 3, w, colors);
      this.drawMarks(ctx, lane, y, w, colors);
    }
    ctx.restore();
  }

  drawName(ctx, lane, y, colors) {
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    ctx.font = "600 12px system-ui, sans-serif";
    if (!lane.cpu) {
      ctx.fillStyle = this.owners.color(lane.key);
      ctx.fillRect(2, y + 8, 17, 17);
      ctx.fillStyle = inkOn(this.owners.color(lane.key));
      ctx.textAlign = "center";
      ctx.fillText(this.owners.letter(lane.key), 10.5, y + 17);
      ctx.textAlign = "left";
    }
    ctx.fillStyle = colors.ink;
    const name = lane.cpu ? lane.label : `${lane.label || "?"} ${lane.key}`;
    ctx.fillText(name.length > 12 ? `${name.slice(0, 11)}…` : name, lane.cpu ? 4 : 25, y + 17);
  }

  // Pieces where they are wide enough to be seen, shares of the time in each pixel where not.
  drawStates(ctx, lane, y, height, w, colors) {
    const { view, px } = this;
    const { x } = view;
    const first = Math.max(lane.piece(x, view.a), 0);
    const last = lane.piece(x, view.b);
    if (last - first <= 2 * (w - GUTTER)) {
      for (let j = first; j <= last; j++) {
        const from = Math.max(px(x[lane.at[j]]), GUTTER);
        const to = Math.min(j + 1 < lane.at.length ? px(x[lane.at[j + 1]]) : lane.state[j] === NOTHING ? from : px(x[x.length - 1]), w);
        if (lane.state[j] === NOTHING) continue;
        this.piece(ctx, lane, j, from, Math.max(to, from + 0.5), y, height, colors);
      }
      return;
    }
    const of = [0, 0, 0, 0];
    for (let p = GUTTER; p < w; p++) {
      const t0 = view.a + ((p - GUTTER) / (w - GUTTER)) * (view.b - view.a);
      const t1 = view.a + ((p + 1 - GUTTER) / (w - GUTTER)) * (view.b - view.a);
      const [j0, j1] = [lane.piece(x, t0), lane.piece(x, t1)];
      for (let s = 1; s < 4; s++) of[s] = (lane.until(x, t1, j1, s) - lane.until(x, t0, j0, s)) / (t1 - t0);
      const running = of[RUNNING] * height;
      const ready = of[READY] * height;
      const j = lane.state[j1] === RUNNING || !j1 ? j1 : j1 - 1;
      const color = this.owners.color(lane.cpu ? lane.what[Math.max(j, 0)] : lane.key);
      ctx.globalAlpha = 1;
      ctx.fillStyle = color;
      ctx.fillRect(p, y + height - running, 1, running);
      ctx.globalAlpha = 0.4;
      ctx.fillRect(p, y + height - running - ready, 1, ready);
      ctx.globalAlpha = 1;
      if (of[WAITING] > 0.01) {
        ctx.fillStyle = colors.soft;
        ctx.fillRect(p, y + (height - running - ready) / 2, 1, 1);
      }
    }
  }

  piece(ctx, lane, j, from, to, y, height, colors) {
    const width = to - from;
    const state = lane.state[j];
    const color = this.owners.color(lane.cpu ? lane.what[j] : lane.key);
    if (state === WAITING) {
      ctx.fillStyle = colors.soft;
      ctx.fillRect(from, y + height / 2 - 0.5, width, 1);
      const why = this.view.events.strings[lane.what[j]];
      this.inside(ctx, why ? `waits: ${why}` : "waits", from, width, y + height / 2, colors.soft, colors.ground);
      return;
    }
    ctx.fillStyle = color;
    if (state === READY) {
      ctx.globalAlpha = 0.35;
      ctx.fillRect(from, y, width, height);
      ctx.globalAlpha = 1;
      this.inside(ctx, "ready", from, width, y + height / 2, colors.ink, "");
      return;
    }
    ctx.fillRect(from, y, width, height);
    if (lane.cpu) this.inside(ctx, `${this.owners.letter(lane.what[j])} ${this.owners.name(lane.what[j])}`, from, width, y + height / 2, inkOn(color), "");
  }

  // Words in a piece, if there is room.
  inside(ctx, words, from, width, y, ink, ground) {
    ctx.font = "11px system-ui, sans-serif";
    const room = ctx.measureText(words).width;
    if (room + 8 > width) return;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    if (ground) {
      ctx.fillStyle = ground;
      ctx.fillRect(from + (width - room) / 2 - 3, y - 6, room + 6, 12);
    }
    ctx.fillStyle = ink;
    ctx.fillText(words, from + width / 2, y + 0.5);
  }

  drawFaults(ctx, lane, y, height, w) {
    const { view } = this;
    const { x, events } = view;
    const first = upTo(lane.faults, view.a, x);
    const last = upTo(lane.faults, view.b, x);
    const start = Math.max(first - 1, 0);
    const columns = events.byKind.fault?.columns;
    const S = events.strings;
    const wide = w - GUTTER;
    if (last - start <= wide / 12) {
      let free = -1;
      for (let k = start; k < last; k++) {
        const i = lane.faults[k];
        const at = this.px(x[i]);
        const [letter, color] = classOf(S[columns.cls[events.row[i]]]);
        const next = k + 1 < lane.faults.length ? this.px(x[lane.faults[k + 1]]) : Infinity;
        if (next - at >= 12 && at >= free) {
          ctx.fillStyle = color;
          ctx.fillRect(at, y, 12, height);
          ctx.fillStyle = inkOn(color);
          ctx.font = "600 10px ui-monospace, monospace";
          ctx.textAlign = "center";
          ctx.textBaseline = "middle";
          ctx.fillText(letter, at + 6, y + height / 2 + 0.5);
          free = at + 12;
        } else {
          ctx.fillStyle = color;
          ctx.fillRect(at, y, 1.5, height);
        }
      }
      return;
    }
    // In each pixel the shares of the classes.
    let pixel = -1;
    let sum = 0;
    const counts = new Map();
    const flush = () => {
      let at = y + height;
      for (const [cls, n] of counts) {
        const part = (n / sum) * height;
        ctx.fillStyle = classOf(S[cls])[1];
        ctx.fillRect(pixel, at - part, 1.3, part);
        at -= part;
      }
      counts.clear();
      sum = 0;
    };
    for (let k = first; k < last; k++) {
      const i = lane.faults[k];
      const p = Math.floor(this.px(x[i]));
      if (p !== pixel) {
        if (sum) flush();
        pixel = p;
      }
      const cls = columns.cls[events.row[i]];
      counts.set(cls, (counts.get(cls) ?? 0) + 1);
      sum++;
    }
    if (sum) flush();
  }

  drawCalls(ctx, lane, y, w, colors) {
    const { view } = this;
    const { x, events } = view;
    const first = upTo(lane.calls, view.a, x);
    const last = upTo(lane.calls, view.b, x);
    ctx.fillStyle = colors.ink;
    let pixel = -9;
    for (let k = Math.max(first - 1, 0); k < last; k++) {
      const i = lane.calls[k];
      const at = this.px(x[i]);
      if (at - pixel < 2) continue;
      pixel = at;
      ctx.beginPath();
      ctx.moveTo(at, y + 13);
      ctx.lineTo(at - 3, y + 7);
      ctx.lineTo(at + 3, y + 7);
      ctx.fill();
      const next = k + 1 < lane.calls.length ? this.px(x[lane.calls[k + 1]]) : w;
      const name = events.strings[events.byKind.syscall.columns.name[events.row[i]]];
      if (next - at > 8 + name.length * 6.5) this.tag(ctx, name, at + 4, y + 6, colors);
    }
  }

  tag(ctx, words, x, y, colors) {
    ctx.font = "10px system-ui, sans-serif";
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    const width = ctx.measureText(words).width;
    ctx.globalAlpha = 0.85;
    ctx.fillStyle = colors.ground;
    ctx.fillRect(x - 1, y - 6, width + 2, 12);
    ctx.globalAlpha = 1;
    ctx.fillStyle = colors.ink;
    ctx.fillText(words, x, y + 0.5);
  }

  drawMarks(ctx, lane, y, w, colors) {
    const { view } = this;
    for (const mark of lane.marks) {
      const t = view.x[mark.i];
      if (t < view.a || t > view.b || mark.op === "fork") continue;
      const at = this.px(t);
      if (mark.op === "exit" || mark.op === "broken") {
        ctx.strokeStyle = mark.text ? COLORS.vermilion : colors.ink;
        ctx.lineWidth = 2.5;
        ctx.beginPath();
        ctx.moveTo(at - 4, y + 13);
        ctx.lineTo(at + 4, y + 21);
        ctx.moveTo(at + 4, y + 13);
        ctx.lineTo(at - 4, y + 21);
        ctx.stroke();
      } else if (mark.op === "exec") {
        ctx.fillStyle = colors.accent;
        ctx.fillRect(at - 1, y + 1, 2, LANE - 3);
        this.tag(ctx, `exec ${mark.text}`, at + 4, y + 9, colors);
      } else {
        ctx.fillStyle = COLORS.vermilion;
        ctx.beginPath();
        ctx.moveTo(at, y + 2);
        ctx.lineTo(at + 5, y + 9);
        ctx.lineTo(at, y + 16);
        ctx.lineTo(at - 5, y + 9);
        ctx.fill();
      }
    }
  }

  drawArrows(ctx, w, h, top, colors) {
    const { view } = this;
    const rows = new Map(this.lanes.map((l, n) => [l.cpu ? `cpu${l.key}` : l.key, n]));
    let drawn = 0;
    let stub = -STUB; // where the last of those was drawn that lead out of sight
    ctx.strokeStyle = ctx.fillStyle = colors.soft;
    ctx.lineWidth = 1;
    for (const lane of this.lanes)
      for (const mark of lane.marks) {
        if (mark.op !== "fork") continue;
        const t = view.x[mark.i];
        if (t < view.a || t > view.b || drawn++ > ARROWS) continue;
        const at = this.px(t);
        const y0 = AXIS + rows.get(lane.key) * LANE + 16 - top;
        const there = AXIS + (rows.get(mark.child) ?? 0) * LANE + 4 - top;
        const seen = there >= AXIS && there <= h;
        if (!seen && (y0 < AXIS || y0 > h || at - stub < STUB)) continue;
        if (!seen) stub = at;
        const y1 = seen ? there : y0 + Math.sign(there - y0) * STUB; // towards a lane that is not in sight
        const tip = y1 > y0 ? -6 : 6;
        ctx.beginPath();
        ctx.moveTo(at, y0);
        ctx.lineTo(at, y1);
        ctx.stroke();
        ctx.beginPath();
        ctx.moveTo(at, y1);
        ctx.lineTo(at - 3.5, y1 + tip);
        ctx.lineTo(at + 3.5, y1 + tip);
        ctx.fill();
      }
  }

  words(x, y, t) {
    const lane = this.laneAt(y);
    if (!lane || x < GUTTER) return "";
    const { view } = this;
    const { events } = view;
    const j = lane.piece(view.x, t);
    const state = j < 0 ? "" : STATES[lane.state[j]];
    const why = j < 0 || lane.state[j] !== WAITING ? "" : events.strings[lane.what[j]];
    const who = lane.cpu ? lane.label : this.owners.name(lane.key);
    let words = `${view.label(t)}  ${who}  ${lane.cpu ? (state ? this.owners.name(lane.what[j]) : "idle") : state}${why ? `: ${why}` : ""}`;
    const near = ((view.b - view.a) / this.canvas.width) * 6;
    for (const list of [lane.faults, lane.calls, lane.marks.map((m) => m.i)]) {
      const k = upTo(list, t, view.x) - 1;
      if (k >= 0 && t - view.x[list[k]] <= 2 * near) words += `\n${events.kindOf(list[k])}  ${what(events.get(list[k]))}`;
    }
    return words;
  }
}
