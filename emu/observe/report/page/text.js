// Words, letters and colours. The colours are those of Okabe and Ito, which all eyes can tell apart.

const COLORS = {
  orange: "#e69f00", sky: "#56b4e9", green: "#009e73", yellow: "#f0e442", blue: "#0072b2", vermilion: "#d55e00",
  purple: "#cc79a7", grey: "#9a9a9a", black: "#1a1a1a",
};
const CLASSES = {
  "zero-fill": ["Z", COLORS.green], "text-load": ["T", COLORS.sky], "data-load": ["D", COLORS.blue],
  "cache-hit": ["H", COLORS.yellow], "cow-copy": ["C", COLORS.orange], "cow-reuse": ["R", COLORS.purple],
  remap: ["m", COLORS.grey], "swap-in": ["S", COLORS.vermilion], protection: ["P", COLORS.black],
  unmapped: ["U", COLORS.black],
};
const classOf = (cls) => (Object.hasOwn(CLASSES, cls) ? CLASSES[cls] : ["?", COLORS.grey]);
const OWNERS = [COLORS.sky, COLORS.orange, COLORS.green, COLORS.yellow, COLORS.purple, COLORS.vermilion, COLORS.blue];
const KERNELUSE = { directory: "D", table: "T", kmap: "K", pool: "P" };
const PURPOSES = {
  free: "free", private: "one process", shared: "shared segment", cow: "copy on write", cached: "in a page cache, and used",
  idle: "in a page cache alone", swapping: "on its way to swap", directory: "page directory", table: "page table",
  kmap: "kernel's map", pool: "spare directory", moving: "in the kernel's hands",
};

// Black or white, whichever is easier to read on a colour.
function inkOn(color) {
  const n = parseInt(color.slice(1), 16);
  return 0.299 * (n >> 16) + 0.587 * ((n >> 8) & 255) + 0.114 * (n & 255) > 115 ? "#000" : "#fff";
}

const hex = (n, width = 8) => (n < 0 ? String(n) : `0x${n.toString(16).padStart(width, "0")}`);
const seconds = (ns) => `${Math.floor(ns / 1e9)}.${String(ns % 1e9).padStart(9, "0")}`;
const many = (n, one, more = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : more}`;
const bytesOf = (pages) => (pages >= 256 ? `${+(pages / 256).toPrecision(3)} MB` : `${pages * 4} KB`);

// A length of time, shortly.
function duration(ns) {
  for (const [unit, name] of [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]])
    if (Math.abs(ns) >= unit) return `${+(ns / unit).toPrecision(4)} ${name}`;
  return `${ns} ns`;
}

const imageWord = (n) => ({ "-1": "-", "-2": "swap", "-3": "mount cache" })[n] ?? String(n);

// What happened, without when and to whom: as the text trace tells it.
function what(ev) {
  switch (ev.event) {
    case "boot":
      return `${ev.cpus} processors, ${ev.pages} pages from ${hex(ev.base)}, ${ev.swap} slots of swap`;
    case "fault": {
      const who = ev.mode === "kernel" ? `kernel ${ev.fn}` : ev.mode;
      const cls = ev.load ? `${ev.cls}+${ev.load}` : ev.cls;
      const at = `${ev.symbol ? ` ${ev.symbol}` : ""}${ev.insn ? `: ${ev.insn}` : ""}`;
      return `${hex(ev.addr)} ${ev.access.padEnd(5)} ${who.padEnd(10)} ${cls.padEnd(10)} ${(ev.segment || "-").padEnd(6)} frame ${ev.frame ? hex(ev.frame) : "-"} pc ${hex(ev.pc)}${at}`;
    }
    case "syscall":
      return `${ev.name}(${ev.args}) = ${ev.ret === null ? "?" : ev.ret}${ev.error ? ` "${ev.error}"` : ""}`;
    case "proc":
      return `${ev.op} ${ev.name}${ev.child ? ` pid ${ev.child}` : ""}${ev.status ? ` "${ev.status}"` : ""}`;
    case "page":
      return `${ev.op.padEnd(10)} frame ${hex(ev.frame)} va ${hex(ev.va)} image ${imageWord(ev.image)} daddr ${hex(ev.daddr, 1)} ref ${ev.ref}`;
    case "image":
      return `${ev.op} ${imageWord(ev.image)} ${ev.path} ref ${ev.ref} pgref ${ev.pgref}`;
    case "segment": {
      const more = ev.op === "attach" || ev.op === "detach" ? ` pid ${ev.target} slot ${ev.slot}` : ev.op === "dup" ? ` of ${ev.old}` : "";
      return `${ev.op.padEnd(8)} ${ev.type} ${hex(ev.base)}-${hex(ev.top)} ref ${ev.ref} id ${ev.id}${more}`;
    }
    case "entry":
      return `${ev.op.padEnd(4)} segment ${ev.segment} va ${hex(ev.va)}${ev.op === "page" ? ` frame ${hex(ev.frame)}` : ev.op === "swap" ? ` slot ${hex(ev.daddr, 1)}` : ""}`;
    case "note":
      return `${ev.op} to ${ev.target} "${ev.text}"`;
    case "tlb":
      return `${ev.op} va ${hex(ev.va)} pdb ${hex(ev.pdb)}`;
    case "mmu":
      return `${ev.op.padEnd(9)} pdb ${hex(ev.pdb)} va ${hex(ev.va)}${ev.frame ? ` frame ${hex(ev.frame)}` : ""}${ev.access ? ` ${ev.access}` : ""}`;
    case "sched":
      return `${ev.op.padEnd(5)} ${ev.name} ${ev.target} ${ev.state}${ev.why ? ` (${ev.why})` : ""}`;
    default:
      return JSON.stringify(ev);
  }
}

// An element with properties and children; text is never taken for HTML.
function make(tag, props = {}, ...children) {
  const e = Object.assign(document.createElement(tag), props);
  e.append(...children);
  return e;
}

function swatch(color, letter, words) {
  const i = make("i", {}, letter);
  i.style.background = color;
  if (letter) i.style.color = inkOn(color);
  return make("span", {}, i, words);
}
