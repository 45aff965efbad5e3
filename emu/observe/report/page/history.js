// The state at any moment, and what is gathered on the first way through: counters, samples, the lives of frames.

const BLOCK = 8192; // events between two saved states, at least
const SAMPLES = 1024; // moments, at most, at which each process's pages are counted
const EFFORT = 8; // pages looked at for that, for each event

// A model that counts what the counters show.
class Counting extends Model {
  constructor(events) {
    super(events);
    this.cached = 0;
    this.slots = new Map(); // references to each slot of swap
  }

  _refer(e, n) {
    if (onSwap(e)) this._slot(frameOf(e), n);
  }

  _slot(slot, n) {
    const refs = (this.slots.get(slot) ?? 0) + n;
    if (refs > 0) this.slots.set(slot, refs);
    else this.slots.delete(slot);
  }

  setFrame(pa, f) {
    const old = this.frames.get(pa);
    this.cached += Number(f !== null && f.image !== NOIMAGE) - Number(old !== undefined && old.image !== NOIMAGE);
    if (old?.io) this._slot(old.daddr, -1);
    if (f?.io) this._slot(f.daddr, 1);
    super.setFrame(pa, f);
  }

  setEntry(segment, n, e) {
    const old = this.entries.get(segment)?.get(n);
    if (old !== undefined) this._refer(old, -1);
    if (e !== null) this._refer(e, 1);
    super.setEntry(segment, n, e);
  }

  dropEntries(segment) {
    for (const e of this.entries.get(segment)?.values() ?? []) this._refer(e, -1);
    super.dropEntries(segment);
  }

  copyEntries(from, to) {
    super.copyEntries(from, to);
    for (const e of this.entries.get(to)?.values() ?? []) this._refer(e, 1);
  }

  // How many pages in memory each process has; one that several have is divided among them. And what it took to count.
  residents() {
    const held = new Map();
    let looked = 0;
    for (const row of this.entries.values())
      for (const e of row.values()) {
        held.set(e, (held.get(e) ?? 0) + 1);
        looked++;
      }
    const of = new Map();
    for (const [id, pids] of sharersOf(this)) {
      let n = 0;
      for (const e of this.entries.get(id)?.values() ?? []) if (!onSwap(e)) n += 1 / held.get(e);
      for (const pid of pids) if (n) of.set(pid, (of.get(pid) ?? 0) + n / pids.length);
    }
    return { of, looked };
  }
}

const MOSTFRAMES = 2 ** 20; // of 4 GB; a trace may claim more

class History {
  constructor(events) {
    this.events = events;
    this.model = new Model(events);
    this.at = 0;
    this.saved = [{ at: 0, state: this.model.save() }];
    const n = events.length;
    this.used = new Int32Array(n + 1); // frames that are not free, after so many events
    this.cached = new Int32Array(n + 1);
    this.swapped = new Int32Array(n + 1);
    this.samples = [];
  }

  // Go through all events once; tell() hears now and then how far it is.
  async gather(tell) {
    const { events } = this;
    const n = events.length;
    const m = new Counting(events);
    const every = Math.max(1, Math.ceil(n / SAMPLES));
    let next = BLOCK;
    let sample = 1;
    for (let i = 0; i < n; i++) {
      m.apply(i);
      this.used[i + 1] = m.frames.size;
      this.cached[i + 1] = m.cached;
      this.swapped[i + 1] = m.slots.size;
      if (i + 1 >= sample || i === n - 1) {
        const { of, looked } = m.residents();
        this.samples.push({ at: i + 1, residents: of });
        sample = i + 1 + Math.max(every, looked / EFFORT);
      }
      if (i + 1 >= next) {
        this.saved.push({ at: i + 1, state: m.save() });
        next = i + 1 + Math.max(BLOCK, m.size());
        await tell(i + 1);
      }
    }
    this._lives();
    this.pages = Math.min(Math.max(m.machine?.pages ?? 0, 0), MOSTFRAMES);
    this.base = m.machine?.base ?? 0;
  }

  // The model after n events.
  seek(n) {
    const from = this.saved[upTo(this.saved.map((s) => s.at), n) - 1];
    if (n < this.at || from.at > this.at) {
      this.model.restore(from.state);
      this.at = from.at;
    }
    while (this.at < n) this.model.apply(this.at++);
    return this.model;
  }

  // For each frame, the events that are about it: lists in one array, one after the other.
  _lives() {
    const { events } = this;
    const kinds = ["page", "entry", "fault", "mmu"].map((k) => events.byKind[k]).filter(Boolean);
    const counts = new Map();
    for (const { columns, rows } of kinds)
      for (let r = 0; r < rows; r++) {
        const pa = columns.frame[r];
        if (pa) counts.set(pa, (counts.get(pa) ?? 0) + 1);
      }
    this.touched = Array.from(counts.keys()).sort((a, b) => a - b);
    const ends = new Map();
    let sum = 0;
    for (const pa of this.touched) {
      ends.set(pa, sum);
      sum += counts.get(pa);
    }
    const list = new Uint32Array(sum);
    const wanted = events.tables.map((t) => (kinds.includes(t) ? t.columns.frame : null));
    for (let i = 0; i < events.length; i++) {
      const pa = wanted[events.kind[i]]?.[events.row[i]];
      if (!pa) continue;
      list[ends.get(pa)] = i;
      ends.set(pa, ends.get(pa) + 1);
    }
    this.lifeOf = (pa) => (counts.has(pa) ? list.subarray(ends.get(pa) - counts.get(pa), ends.get(pa)) : list.subarray(0, 0));
  }
}
