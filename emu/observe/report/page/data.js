// The events, as columns. emu/observe/report/columns.py tells how they are written.

const NONE = -(2 ** 53); // a number that is None

class Events {
  constructor(head, strings, column) {
    this.head = head;
    this.strings = strings;
    this.length = head.events;
    const common = Object.fromEntries(head.common.map((c) => [c[0], column(c, head.events)]));
    this.kind = common.kind;
    this.pid = common.pid;
    this.cpu = common.cpu;
    this.ns = new Float64Array(this.length);
    let ns = 0;
    for (let i = 0; i < this.length; i++) this.ns[i] = ns += common.ns[i];
    this.tables = head.tables.map((t) => ({
      kind: t.kind,
      rows: t.rows,
      words: new Set(t.columns.filter((c) => c[2]).map((c) => c[0])),
      columns: Object.fromEntries(t.columns.map((c) => [c[0], column(c, t.rows)])),
      at: new Uint32Array(t.rows), // of each row, which event it is
    }));
    this.row = new Uint32Array(this.length); // of each event, its row in its kind's table
    const next = this.tables.map(() => 0);
    for (let i = 0; i < this.length; i++) {
      const kind = this.kind[i];
      this.row[i] = next[kind];
      this.tables[kind].at[next[kind]++] = i;
    }
    this.byKind = Object.fromEntries(this.tables.map((t) => [t.kind, t]));
  }

  // An event as an object, as in JSON traces.
  get(i) {
    const table = this.tables[this.kind[i]];
    const ev = { i, ns: this.ns[i], pid: this.pid[i], cpu: this.cpu[i], event: table.kind };
    for (const [name, values] of Object.entries(table.columns)) {
      const v = values[this.row[i]];
      ev[name] = table.words.has(name) ? this.strings[v] : v === NONE ? null : v;
    }
    return ev;
  }

  kindOf(i) {
    return this.tables[this.kind[i]].kind;
  }

  // The events of a kind whose op is one of these, by number.
  ofOps(kind, ...ops) {
    const table = this.byKind[kind];
    if (!table) return [];
    const { op } = table.columns;
    const wanted = new Set(ops.map((o) => this.strings.indexOf(o)));
    const found = [];
    for (let r = 0; r < table.rows; r++) if (wanted.has(op[r])) found.push(table.at[r]);
    return found;
  }
}

function unbase64(text) {
  const lines = text.trim().split("\n");
  const pieces = lines.map((line) => {
    const chars = atob(line);
    const bytes = new Uint8Array(chars.length);
    for (let i = 0; i < chars.length; i++) bytes[i] = chars.charCodeAt(i);
    return bytes;
  });
  return new Blob(pieces);
}

async function readEvents(text) {
  const stream = unbase64(text).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const decode = (from, n) => JSON.parse(new TextDecoder().decode(bytes.subarray(from, from + n)));
  const head = decode(4, length);
  const strings = decode(4 + length, head.strings);
  let at = 4 + length + head.strings;
  const types = { u1: [1, Uint8Array], u2: [2, Uint16Array], u4: [4, Uint32Array], i4: [4, Int32Array], f8: [8, Float64Array] };
  const column = ([, type], n) => {
    const [size, Type] = types[type];
    const whole = new Uint8Array(n * size); // all lowest bytes come first
    for (let b = 0; b < size; b++) {
      const plane = bytes.subarray(at + b * n, at + (b + 1) * n);
      for (let i = 0, j = b; i < n; i++, j += size) whole[j] = plane[i];
    }
    at += n * size;
    return new Type(whole.buffer);
  };
  return new Events(head, strings, column);
}

// How many of the numbers in a sorted array are not above x, by a key if one is given.
function upTo(sorted, x, key = null) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if ((key ? key[sorted[mid]] : sorted[mid]) <= x) low = mid + 1;
    else high = mid;
  }
  return low;
}
