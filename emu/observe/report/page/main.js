// Puts the pictures together.

const KINDS = ["everything", "fault", "syscall", "proc", "note", "page", "image", "segment", "sched"];

async function main() {
  const byId = (id) => document.getElementById(id);
  const state = byId("state");
  const say = async (words) => {
    state.hidden = !words;
    state.textContent = words;
    await new Promise((done) => setTimeout(done, 0));
  };
  await say("Reading the events…");
  const data = byId("data");
  const events = await readEvents(data.textContent);
  data.remove();
  const history = new History(events);
  await history.gather((n) => say(`Following the events: ${Math.round((100 * n) / events.length)} %`));
  const lanes = lanesOf(events);
  const owners = new Owners(lanes);
  const view = new View(events);
  byId("pictures").hidden = byId("help").hidden = false;
  await say("");

  const timeline = new Timeline(view, lanes, owners, byId("timeline"));
  const counters = new Counters(view, history, owners, byId("counters"));
  const map = new PageMap(view, history, owners, byId("map"));
  const life = new Life(view, history, map, byId("life"));
  const spaces = new Spaces(view, owners, map, byId("spaces"));
  const list = new EventList(view, byId("events"));
  const flame = new Flame(events, byId("flame"));
  const images = new Images(view, map, byId("images"));
  view.axisChanged = () => timeline.measure();

  byId("lanelegend").append(
    ...Object.entries(CLASSES).filter(([cls]) => events.strings.includes(cls)).map(([cls, [letter, color]]) => swatch(color, letter, cls)),
    make("span", {}, "full: running, pale: ready, line: waiting · ▾ system call, ◆ note, × exit, arrow: fork"),
  );

  // The moment: one picture of memory for each frame of the screen, however fast the slider moves.
  const slider = byId("slider");
  slider.max = String(events.length);
  let due = false;
  const momentDrawn = () => {
    due = false;
    map.show(lookAt(history.seek(view.n)));
    life.draw();
    spaces.draw();
    list.draw();
    images.draw();
  };
  view.on("moment", () => {
    slider.value = String(view.n);
    const ns = view.n ? events.ns[view.n - 1] : 0;
    byId("now").textContent = `event ${view.n.toLocaleString("en")} of ${events.length.toLocaleString("en")}, ${seconds(ns)} s`;
    if (due) return;
    due = true;
    requestAnimationFrame(momentDrawn);
  });
  slider.addEventListener("input", () => view.setMoment(Number(slider.value)));

  const steps = byId("steps");
  for (const kind of KINDS) if (kind === "everything" || events.byKind[kind]) steps.append(make("option", {}, kind));
  const step = (by) => {
    const table = events.byKind[steps.value];
    if (!table) return view.setMoment(view.n + by);
    const here = upTo(table.at, view.n - 1); // so many of them have happened
    const exact = here > 0 && table.at[here - 1] === view.n - 1;
    const to = by > 0 ? here + by - 1 : here - (exact ? 1 : 0) + by;
    if (to < 0) return view.setMoment(0);
    return view.setMoment(table.at[Math.min(to, table.rows - 1)] + 1);
  };
  const next = (kind) => {
    const table = events.byKind[kind];
    const k = table ? upTo(table.at, view.n - 1) : 0;
    if (table && k < table.rows) view.setMoment(table.at[k] + 1);
  };
  byId("back").onclick = () => step(-1);
  byId("forth").onclick = () => step(1);
  byId("whole").onclick = () => view.range(0, view.end);
  byId("axis").onclick = () => {
    view.setAxis(!view.byTime);
    byId("axis").textContent = view.byTime ? "axis: time" : "axis: events";
    view.tell("moment");
  };

  const swapin = events.ofOps("page", "swap-in")[0];
  const ends = events.ofOps("proc", "exit", "broken")[0];
  const jumps = [
    ["P", "peak of memory", counters.peak || undefined],
    ["S", "first swap-in", swapin === undefined ? undefined : swapin + 1],
    ["K", "first exit", ends === undefined ? undefined : ends + 1],
  ];
  for (const [key, words, n] of jumps) {
    const b = make("button", { disabled: n === undefined, title: n === undefined ? "there is none" : `event ${n} (${key})` }, words);
    b.dataset.jump = key;
    b.onclick = () => n !== undefined && view.setMoment(n);
    byId("jumps").append(b);
  }

  const keys = {
    ArrowLeft: (ev) => step(ev.shiftKey ? -100 : -1),
    ArrowRight: (ev) => step(ev.shiftKey ? 100 : 1),
    PageUp: () => step(-1000),
    PageDown: () => step(1000),
    Home: () => view.setMoment(0),
    End: () => view.setMoment(events.length),
    "+": () => view.zoom(1 / ZOOM, clampedNow(view)),
    "=": () => view.zoom(1 / ZOOM, clampedNow(view)),
    "-": () => view.zoom(ZOOM, clampedNow(view)),
    a: () => view.pan(-0.2),
    d: () => view.pan(0.2),
    0: () => view.range(0, view.end),
    f: () => next("fault"),
    p: () => byId("jumps").children[0].click(),
    s: () => byId("jumps").children[1].click(),
    k: () => byId("jumps").children[2].click(),
    x: () => byId("axis").click(),
  };
  document.addEventListener("keydown", (ev) => {
    if (ev.ctrlKey || ev.altKey || ev.metaKey || ev.target.tagName === "SELECT") return;
    if (ev.target === slider && ev.key.startsWith("Arrow") && !ev.shiftKey && steps.value === "everything") return;
    const key = keys[ev.key] ?? keys[ev.key.toLowerCase()];
    if (!key) return;
    ev.preventDefault();
    key(ev);
  });

  const redraw = () => {
    timeline.renew();
    counters.renew();
    momentDrawn();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  // On paper it is light, whatever the screen is.
  const paper = (on) => {
    document.documentElement.classList.toggle("paper", on);
    timeline.layer.stale = counters.layer.stale = true;
    momentDrawn();
    for (const c of [timeline.canvas, counters.canvas, map.canvas]) c.now();
  };
  window.addEventListener("beforeprint", () => paper(true));
  window.addEventListener("afterprint", () => paper(false));

  view.pid = lanes.find((l) => !l.cpu && l.faults.length)?.key ?? 0;
  view.setMoment(counters.peak || events.length);
  view.frame = map.changed();
  redraw();
  // For the browser's console: all that the pictures know.
  window.report = { lookAt, events, history, view, map, timeline, counters, spaces, flame, lanes };
  document.documentElement.dataset.ready = "1";
}

const clampedNow = (view) => Math.min(Math.max(view.now(), view.a), view.b);

main().catch((e) => {
  const state = document.getElementById("state");
  state.hidden = false;
  state.textContent = `The events of this report cannot be shown: ${e.message}`;
  console.error(e);
});
