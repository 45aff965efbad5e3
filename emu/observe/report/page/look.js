// Questions to a model: emu/observe/model/look.py.

// Of each frame that segments have: which, and where.
function holdersOf(m) {
  const held = new Map();
  for (const [id, row] of m.entries) {
    const { base } = m.segments.get(id);
    for (const [n, e] of row) {
      if (onSwap(e)) continue;
      const holder = { segment: id, va: base + n * PAGE };
      const list = held.get(e);
      if (list) list.push(holder);
      else held.set(e, [holder]);
    }
  }
  return held;
}

// Of each segment, the processes that have it.
function sharersOf(m) {
  const sharers = new Map();
  for (const [pid, row] of m.places)
    for (const id of row.values()) {
      const pids = sharers.get(id);
      if (pids) pids.push(pid);
      else sharers.set(id, [pid]);
    }
  return sharers;
}

// What a frame is used for: one of look.py's PURPOSES.
function purposeOf(m, pa, held, sharers) {
  const f = m.frames.get(pa);
  if (!f) return "free";
  if (f.use !== "page") return f.use;
  if (f.io) return "swapping";
  if (f.image !== NOIMAGE) return held ? "cached" : "idle";
  if (!held) return "moving";
  if (held.length > 1) return "cow";
  return (sharers.get(held[0].segment)?.length ?? 0) > 1 ? "shared" : "private";
}

// Everything that the pictures of one moment need.
function lookAt(m) {
  const held = holdersOf(m);
  const sharers = sharersOf(m);
  return {
    m,
    held,
    sharers,
    purpose: (pa) => purposeOf(m, pa, held.get(pa), sharers),
    owners: (pa) => {
      const pids = new Set();
      for (const h of held.get(pa) ?? []) for (const pid of sharers.get(h.segment) ?? []) pids.add(pid);
      const f = m.frames.get(pa);
      if (f?.use === "directory") pids.add(f.owner);
      else if (f?.use === "table" || f?.use === "kmap") {
        const d = m.frames.get(f.owner);
        if (d?.use === "directory") pids.add(d.owner);
      }
      return Array.from(pids).sort((a, b) => a - b);
    },
  };
}

const imageName = (m, n) =>
  n === -2 ? "swap" : n === -3 ? "mount cache" : n === NOIMAGE ? "-" : m.images.get(n)?.path || `image ${n}`;
