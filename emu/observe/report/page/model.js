// The state of the machine, folded from its events: emu/observe/model/model.py, operation by operation.

const PAGE = 4096;
const ONSWAP = 1; // of a segment's entry: it is the address of a swap slot
const WRITE = 2; // of a mapping: the process may write
const NOIMAGE = -1;
const NOADDR = 0xffffffff;
const frameOf = (e) => e - (e % PAGE);
const onSwap = (e) => e % 2 === ONSWAP;

const TABLES = ["frames", "segments", "processes", "running", "directories", "images"];
const NESTED = ["entries", "places", "tables", "maps"];

class Model {
  constructor(events) {
    this.events = events;
    this.machine = null;
    for (const name of [...TABLES, ...NESTED]) this[name] = new Map();
    this.appliers = events.tables.map((t) => this[`_${t.kind}`]?.bind(this, t.columns) ?? null);
  }

  apply(i) {
    this.appliers[this.events.kind[i]]?.(this.events.row[i], i);
  }

  // What restore() takes.
  save() {
    const state = { machine: this.machine };
    for (const name of TABLES) state[name] = new Map(this[name]);
    for (const name of NESTED) state[name] = new Map(Array.from(this[name], ([k, row]) => [k, new Map(row)]));
    return state;
  }

  restore(state) {
    this.machine = state.machine;
    for (const name of TABLES) this[name] = new Map(state[name]);
    for (const name of NESTED) this[name] = new Map(Array.from(state[name], ([k, row]) => [k, new Map(row)]));
  }

  size() {
    let n = 0;
    for (const name of TABLES) n += this[name].size;
    for (const name of NESTED) for (const row of this[name].values()) n += row.size;
    return n;
  }

  setFrame(pa, f) {
    if (f) this.frames.set(pa, f);
    else this.frames.delete(pa);
  }

  setEntry(segment, n, e) {
    put(this.entries, segment, n, e);
  }

  dropEntries(segment) {
    this.entries.delete(segment);
  }

  copyEntries(from, to) {
    const row = this.entries.get(from);
    if (row && from !== to) this.entries.set(to, new Map(row));
  }

  _boot(c, r) {
    this.machine = { cpus: c.cpus[r], base: c.base[r], pages: c.pages[r], swap: c.swap[r], images: c.images[r] };
  }

  _page(c, r) {
    const pa = c.frame[r];
    const op = this.events.strings[c.op[r]];
    const old = this.frames.get(pa);
    switch (op) {
      case "alloc":
        this.setFrame(pa, { use: "page", va: c.va[r], owner: 0, image: NOIMAGE, daddr: NOADDR, io: false });
        break;
      case "free":
        if (old?.use === "directory") this.directories.delete(old.owner);
        this.setFrame(pa, null);
        break;
      case "cache":
        this.setFrame(pa, { use: "page", va: c.va[r], owner: 0, image: c.image[r], daddr: c.daddr[r], io: old?.io ?? false });
        break;
      case "uncache":
      case "reclaim":
        this.setFrame(pa, { use: "page", va: c.va[r], owner: 0, image: NOIMAGE, daddr: NOADDR, io: old?.io ?? false });
        break;
      case "page-out":
      case "swap-end":
        this.setFrame(pa, { use: "page", va: c.va[r], owner: 0, image: c.image[r], daddr: c.daddr[r], io: op === "page-out" });
        break;
    }
  }

  _segment(c, r) {
    const id = c.id[r];
    const op = this.events.strings[c.op[r]];
    if (op === "free") {
      this.segments.delete(id);
      this.dropEntries(id);
      return;
    }
    if (op === "detach") {
      put(this.places, c.target[r], c.slot[r], null);
      return;
    }
    this.segments.set(id, { type: this.events.strings[c.type[r]], base: c.base[r], top: c.top[r], image: c.image[r] });
    if (op === "dup") this.copyEntries(c.old[r], id);
    else if (op === "attach") put(this.places, c.target[r], c.slot[r], id);
  }

  _entry(c, r) {
    const s = this.segments.get(c.segment[r]);
    if (!s) return;
    const op = this.events.strings[c.op[r]];
    const e = op === "page" ? c.frame[r] : op === "swap" ? c.daddr[r] + ONSWAP : null;
    this.setEntry(c.segment[r], Math.floor((c.va[r] - s.base) / PAGE), e);
  }

  _mmu(c, r, i) {
    const pdb = c.pdb[r];
    const va = c.va[r];
    const kernel = (use, at, owner) => ({ use, va: at, owner, image: NOIMAGE, daddr: NOADDR, io: false });
    switch (this.events.strings[c.op[r]]) {
      case "map":
        put(this.maps, pdb, va / PAGE, c.frame[r] + (this.events.strings[c.access[r]] === "write" ? WRITE : 0));
        break;
      case "table":
        put(this.tables, pdb, Math.floor(va / 2 ** 22), c.frame[r]);
        this.setFrame(c.frame[r], kernel("table", va, pdb));
        break;
      case "spare":
        this.setFrame(c.frame[r], kernel("table", 0, pdb));
        break;
      case "kmap":
        this.setFrame(c.frame[r], kernel("kmap", va, pdb));
        break;
      case "clear":
        this.maps.delete(pdb);
        this.tables.delete(pdb);
        break;
      case "directory":
        this.directories.set(this.events.pid[i], pdb);
        this.setFrame(pdb, kernel("directory", 0, this.events.pid[i]));
        break;
      case "pool": {
        const f = this.frames.get(pdb);
        if (f?.use === "directory") this.directories.delete(f.owner);
        this.setFrame(pdb, kernel("pool", 0, this.events.cpu[i]));
        break;
      }
    }
  }

  _image(c, r) {
    const op = this.events.strings[c.op[r]];
    if (op === "attach" || op === "close")
      this.images.set(c.image[r], { path: this.events.strings[c.path[r]] || this.images.get(c.image[r])?.path || "", open: op === "attach" });
    else if (op === "free") this.images.delete(c.image[r]);
  }

  _proc(c, r, i) {
    const op = this.events.strings[c.op[r]];
    const pid = op === "fork" ? c.child[r] : this.events.pid[i];
    const p = this.processes.get(pid) ?? NEWCOMER;
    this.processes.set(pid, {
      ...p,
      name: this.events.strings[c.name[r]],
      parent: op === "fork" ? this.events.pid[i] : p.parent,
      status: op === "exit" || op === "broken" ? this.events.strings[c.status[r]] : p.status,
    });
  }

  _sched(c, r, i) {
    const op = this.events.strings[c.op[r]];
    const pid = c.target[r];
    const cpu = this.events.cpu[i];
    if (op === "off") {
      this.running.delete(cpu);
      return;
    }
    if (op === "run") this.running.set(cpu, pid);
    else if (op === "end") this.running.set(cpu, 0);
    if (!pid) return;
    const p = this.processes.get(pid) ?? NEWCOMER;
    this.processes.set(pid, {
      name: this.events.strings[c.name[r]],
      parent: op === "new" ? this.events.pid[i] : p.parent,
      state: op === "end" ? "Dead" : this.events.strings[c.state[r]],
      why: this.events.strings[c.why[r]],
      status: p.status,
    });
  }
}

const NEWCOMER = { name: "", parent: 0, state: "", why: "", status: "" };

function put(nested, owner, key, value) {
  const row = nested.get(owner);
  if (value !== null) {
    if (row) row.set(key, value);
    else nested.set(owner, new Map([[key, value]]));
  } else if (row) {
    row.delete(key);
    if (!row.size) nested.delete(owner);
  }
}
