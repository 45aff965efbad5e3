// What is shown: the moment, the stretch of the axis, the frame and process that were chosen. Pictures listen.

const GUTTER = 112; // pixels at the left of the timeline and counters, for names
const ZOOM = 1.3;

class View {
  constructor(events) {
    this.events = events;
    this.n = events.length; // events that have happened
    this.frame = 0;
    this.pid = 0;
    this.byTime = true;
    this.listeners = { moment: [], range: [], choice: [] };
    this.setAxis(true);
  }

  on(what, f) {
    for (const name of what.split(" ")) this.listeners[name].push(f);
  }

  tell(what) {
    for (const f of this.listeners[what]) f();
  }

  // The axis: virtual time, or one step an event. Processors' clocks differ a little: time never goes back here.
  setAxis(byTime) {
    const n = this.events.length;
    const was = this.x ? this.x[Math.max(this.n - 1, 0)] : 0;
    this.byTime = byTime;
    this.x = new Float64Array(n);
    let last = 0;
    for (let i = 0; i < n; i++) this.x[i] = byTime ? (last = Math.max(last, this.events.ns[i])) : i;
    this.end = Math.max(n ? this.x[n - 1] : 0, 1);
    this.end *= 1.01;
    this.a = 0;
    this.b = this.end;
    this.axisChanged?.();
    this.tell("range");
    return was;
  }

  setMoment(n, show = true) {
    this.n = Math.min(Math.max(Math.round(n), 0), this.events.length);
    if (show) this.show(this.now());
    this.tell("moment");
  }

  now() {
    return this.n ? this.x[this.n - 1] : 0;
  }

  // The event that happened last at t.
  at(t) {
    let low = 0;
    let high = this.x.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (this.x[mid] <= t) low = mid + 1;
      else high = mid;
    }
    return low;
  }

  // Move the stretch, if it must be, so that t is in it.
  show(t) {
    if (t >= this.a && t <= this.b) return;
    const half = (this.b - this.a) / 2;
    this.range(t - half, t + half);
  }

  range(a, b) {
    const smallest = this.byTime ? 20 : 4;
    const length = Math.min(Math.max(b - a, Math.min(smallest, this.end)), this.end);
    const start = Math.min(Math.max(a + (b - a - length) / 2, 0), this.end - length);
    this.a = start;
    this.b = start + length;
    this.tell("range");
  }

  zoom(factor, t) {
    this.range(t - (t - this.a) * factor, t + (this.b - t) * factor);
  }

  pan(share) {
    const by = share * (this.b - this.a);
    const length = this.b - this.a;
    const a = Math.min(Math.max(this.a + by, 0), this.end - length);
    this.range(a, a + length);
  }

  chooseFrame(pa) {
    this.frame = pa;
    this.tell("choice");
  }

  chooseProcess(pid) {
    this.pid = pid;
    this.tell("choice");
  }

  label(t) {
    return this.byTime ? duration(t) : `event ${Math.round(t)}`;
  }
}

// A canvas as large as its place on the page, sharp on every screen. draw(ctx, width, height) is called when due.
class Canvas {
  constructor(element, draw) {
    this.element = element;
    this.ctx = element.getContext("2d");
    this.paint = draw;
    this.height = 100;
    this.due = false;
    this.width = 0;
    this.resize = new ResizeObserver(() => {
      if (element.clientWidth !== this.width) this.redraw();
    });
    this.resize.observe(element);
  }

  redraw() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => this.now());
  }

  now() {
    this.due = false;
    const scale = window.devicePixelRatio || 1;
    this.element.style.height = `${this.height}px`;
    this.width = this.element.clientWidth;
    const [w, h] = [Math.round(this.width * scale), Math.round(this.height * scale)];
    if (this.element.width !== w || this.element.height !== h) {
      this.element.width = w;
      this.element.height = h;
    }
    this.ctx.setTransform(scale, 0, 0, scale, 0, 0);
    this.ctx.clearRect(0, 0, this.width, this.height);
    this.paint(this.ctx, this.width, this.height);
  }
}

// What of a picture changes seldom, kept as a picture of its own. draw(ctx, width, height) makes it anew when it is stale.
class Layer {
  constructor(draw) {
    this.paint = draw;
    this.picture = document.createElement("canvas");
    this.stale = true;
  }

  show(ctx, w, h) {
    const { width, height } = ctx.canvas;
    if (this.stale || this.picture.width !== width || this.picture.height !== height) {
      Object.assign(this.picture, { width, height });
      const c = this.picture.getContext("2d");
      const scale = window.devicePixelRatio || 1;
      c.scale(scale, scale);
      this.paint(c, w, h);
      this.stale = false;
    }
    ctx.drawImage(this.picture, 0, 0, w, h);
  }
}

// The page's colours, as they are in light or dark.
function theme() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return { ground: of("panel"), ink: of("ink"), soft: of("soft"), line: of("line"), free: of("free"), kernel: of("kernel"), accent: of("accent") };
}

// Wheel, drag and click on a picture along the axis. hover(x, y) gives the words for a place.
function steer(view, canvas, hover) {
  const e = canvas.element;
  const time = (x) => view.a + ((x - GUTTER) / (canvas.width - GUTTER)) * (view.b - view.a);
  e.addEventListener("wheel", (ev) => {
    if (ev.ctrlKey && !ev.deltaY) return;
    ev.preventDefault();
    if (Math.abs(ev.deltaX) > Math.abs(ev.deltaY)) view.pan(ev.deltaX / canvas.width);
    else view.zoom(ev.deltaY > 0 ? ZOOM : 1 / ZOOM, Math.max(time(ev.offsetX), 0));
  }, { passive: false });
  let from = null;
  e.addEventListener("pointerdown", (ev) => {
    from = { x: ev.offsetX, moved: false };
    e.setPointerCapture(ev.pointerId);
  });
  e.addEventListener("pointermove", (ev) => {
    if (from && (from.moved || Math.abs(ev.offsetX - from.x) > 3)) {
      view.pan((from.x - ev.offsetX) / (canvas.width - GUTTER));
      from = { x: ev.offsetX, moved: true };
    } else showTip(ev, hover(ev.offsetX, ev.offsetY, time(ev.offsetX)));
  });
  e.addEventListener("pointerup", (ev) => {
    if (from && !from.moved && ev.offsetX >= GUTTER) view.setMoment(view.at(time(ev.offsetX)), false);
    else if (from && !from.moved) canvas.onname?.(ev.offsetY);
    from = null;
  });
  e.addEventListener("pointerleave", () => showTip(null, ""));
}

function showTip(ev, words) {
  const tip = document.getElementById("tip");
  tip.hidden = !words;
  if (!words) return;
  tip.textContent = words;
  tip.style.left = `${Math.min(ev.clientX + 14, window.innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.min(ev.clientY + 16, window.innerHeight - tip.offsetHeight - 8)}px`;
}

// Lines and labels of the axis.
function drawAxis(ctx, view, width, top, bottom, colors) {
  const room = width - GUTTER;
  const rough = (view.b - view.a) / Math.max(room / 120, 1);
  const ten = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * ten).find((s) => s >= rough);
  ctx.fillStyle = colors.soft;
  ctx.strokeStyle = colors.line;
  ctx.lineWidth = 1;
  ctx.font = "11px system-ui, sans-serif";
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  for (let t = Math.ceil(view.a / step) * step; t <= view.b; t += step) {
    const x = Math.round(GUTTER + ((t - view.a) / (view.b - view.a)) * room) + 0.5;
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, bottom);
    ctx.stroke();
    ctx.fillText(view.byTime ? duration(+t.toPrecision(12)) : String(Math.round(t)), x + 3, top);
  }
}

function drawMoment(ctx, view, width, height, colors) {
  const t = view.now();
  if (t < view.a || t > view.b) return;
  const x = GUTTER + ((t - view.a) / (view.b - view.a)) * (width - GUTTER);
  ctx.strokeStyle = colors.accent;
  ctx.lineWidth = 2;
  ctx.beginPath();
  ctx.moveTo(x, 0);
  ctx.lineTo(x, height);
  ctx.stroke();
}
