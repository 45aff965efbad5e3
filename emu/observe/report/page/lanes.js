// What each processor and each process did when: pieces of equal state, and marks.

const [NOTHING, RUNNING, READY, WAITING] = [0, 1, 2, 3];
const STATES = ["", "running", "ready", "waiting"];

class Lane {
  constructor(key, label, cpu) {
    Object.assign(this, { key, label, cpu, at: [], state: [], what: [], faults: [], calls: [], marks: [] });
  }

  put(i, state, what) {
    const last = this.at.length - 1;
    if (last >= 0 && this.state[last] === state && this.what[last] === what) return;
    this.at.push(i);
    this.state.push(state);
    this.what.push(what);
  }

  // Sums of the time in each state up to each piece, along an axis: any stretch is then two look-ups away.
  measure(x, end) {
    const n = this.at.length;
    this.sums = STATES.map(() => new Float64Array(n + 1));
    for (let j = 0; j < n; j++) {
      const length = (j + 1 < n ? x[this.at[j + 1]] : end) - x[this.at[j]];
      for (let s = 1; s < STATES.length; s++) this.sums[s][j + 1] = this.sums[s][j] + (this.state[j] === s ? length : 0);
    }
  }

  // Index of the piece at t, or -1.
  piece(x, t) {
    return upTo(this.at, t, x) - 1;
  }

  until(x, t, j, s) {
    return j < 0 ? 0 : this.sums[s][j] + (this.state[j] === s ? t - x[this.at[j]] : 0);
  }
}

// The lanes: processors first, then processes by number.
function lanesOf(events) {
  const cpus = new Map();
  const procs = new Map();
  const S = events.strings;
  const lane = (pid) => {
    let l = procs.get(pid);
    if (!l) procs.set(pid, (l = new Lane(pid, "", false)));
    return l;
  };
  const cpuLane = (n) => {
    let l = cpus.get(n);
    if (!l) cpus.set(n, (l = new Lane(n, `cpu${n}`, true)));
    return l;
  };
  const { sched, proc, fault, syscall, note, boot } = events.byKind;
  for (let n = 0; n < Math.min(boot?.columns.cpus[0] ?? 0, 64); n++) cpuLane(n);
  for (let r = 0; r < (sched?.rows ?? 0); r++) {
    const c = sched.columns;
    const i = sched.at[r];
    const op = S[c.op[r]];
    const pid = c.target[r];
    if (op === "off") cpuLane(events.cpu[i]).put(i, NOTHING, 0);
    if (op === "run") cpuLane(events.cpu[i]).put(i, RUNNING, pid);
    if (!pid) continue;
    const l = lane(pid);
    if (!S[c.name[r]].startsWith("*")) l.label = S[c.name[r]];
    if (op === "run") l.put(i, RUNNING, 0);
    else if (op === "ready") l.put(i, READY, 0);
    else if (op === "wait") l.put(i, WAITING, c.why[r]);
    else if (op === "new") l.put(i, WAITING, c.why[r]);
    else if (op === "end") l.put(i, NOTHING, 0);
  }
  for (let r = 0; r < (proc?.rows ?? 0); r++) {
    const c = proc.columns;
    const i = proc.at[r];
    const op = S[c.op[r]];
    const l = lane(events.pid[i]);
    l.marks.push({ i, op, text: op === "exec" ? S[c.name[r]] : S[c.status[r]], child: c.child[r] });
    l.label = S[c.name[r]] || l.label;
    if (op === "fork") {
      const child = lane(c.child[r]);
      child.label ||= S[c.name[r]];
    }
    if (op === "exit" && !sched) l.put(i, NOTHING, 0);
  }
  for (let r = 0; r < (fault?.rows ?? 0); r++) lane(events.pid[fault.at[r]]).faults.push(fault.at[r]);
  for (let r = 0; r < (syscall?.rows ?? 0); r++) lane(events.pid[syscall.at[r]]).calls.push(syscall.at[r]);
  for (let r = 0; r < (note?.rows ?? 0); r++)
    lane(note.columns.target[r]).marks.push({ i: note.at[r], op: `note ${S[note.columns.op[r]]}`, text: S[note.columns.text[r]] });
  const byKey = (a, b) => a.key - b.key;
  const all = [...Array.from(cpus.values()).sort(byKey), ...Array.from(procs.values()).sort(byKey)];
  return all.filter((l) => l.cpu || l.at.length || l.faults.length || l.calls.length || l.marks.length);
}

// Colours and letters of processes: those that programs ran in get the first ones.
class Owners {
  constructor(lanes) {
    const procs = lanes.filter((l) => !l.cpu);
    const busy = procs.filter((l) => l.faults.length || l.marks.length);
    this.of = new Map([...busy, ...procs.filter((l) => !busy.includes(l))].map((l, n) => [l.key, n]));
    this.names = new Map(procs.map((l) => [l.key, l.label]));
  }

  color(pid) {
    return this.of.has(pid) ? OWNERS[this.of.get(pid) % OWNERS.length] : COLORS.grey;
  }

  letter(pid) {
    const n = this.of.get(pid);
    return n === undefined ? "?" : String.fromCharCode(97 + (n % 26));
  }

  name(pid) {
    return `${this.names.get(pid) || "?"} ${pid}`;
  }
}
