// The flame graph of page faults: stacks, the outermost function at the top, and last the class.

const SHALLOW = 40; // levels drawn

function flameTree(events) {
  const root = { name: "all page faults", n: 0, kids: new Map(), color: "" };
  const table = events.byKind.fault;
  if (!table) return root;
  const counts = new Map();
  for (let r = 0; r < table.rows; r++) {
    const key = table.columns.stack[r] * 65536 + table.columns.cls[r];
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  for (const [key, n] of counts) {
    const cls = events.strings[key % 65536] ;
    const stack = events.strings[Math.floor(key / 65536)];
    let node = root;
    node.n += n;
    for (const [k, name] of [...(stack ? stack.split("\n") : ["unknown"]), cls].entries()) {
      const leaf = k === (stack ? stack.split("\n").length : 1);
      let kid = node.kids.get(name);
      if (!kid) node.kids.set(name, (kid = { name, n: 0, kids: new Map(), color: leaf ? classOf(name)[1] : "", parent: node }));
      kid.n += n;
      node = kid;
    }
  }
  return root;
}

class Flame {
  constructor(events, root) {
    this.root = flameTree(events);
    this.body = root.querySelector("#flamebody");
    this.draw(this.root);
  }

  draw(top) {
    const rows = [];
    const up = [];
    for (let node = top; node; node = node.parent) up.unshift(node);
    for (const node of up) rows.push([{ node, share: 1 }]);
    let level = [{ node: top, share: 1, at: 0 }];
    while (level.length && rows.length < SHALLOW) {
      const next = [];
      for (const { node, share, at } of level) {
        let x = at;
        for (const kid of Array.from(node.kids.values()).sort((a, b) => b.n - a.n)) {
          const part = (share * kid.n) / node.n;
          next.push({ node: kid, share: part, at: x });
          x += part;
        }
      }
      if (next.length) rows.push(next);
      level = next;
    }
    this.body.replaceChildren(...rows.map((row) => this.row(row)));
  }

  row(parts) {
    const line = make("div", { className: "flame" });
    let x = 0;
    for (const { node, share, at = 0 } of parts) {
      if (share < 0.0015) continue;
      const percent = `${+((100 * node.n) / Math.max(this.root.n, 1)).toPrecision(3)} %`;
      const b = make("button", { title: `${node.name}: ${many(node.n, "fault")}, ${percent}` }, `${node.name} ${node.n.toLocaleString("en")}`);
      b.style.width = `${100 * share}%`;
      b.style.marginLeft = `${100 * Math.max(at - x, 0)}%`;
      b.style.background = node.color || tint(node.name);
      b.style.color = inkOn(node.color || tint(node.name));
      b.onclick = () => this.draw(node);
      x = at + share;
      line.append(b);
    }
    return line;
  }
}

// A colour between yellow and orange for a name, the same each time.
function tint(name) {
  let h = 7;
  for (const c of name) h = (h * 31 + c.codePointAt(0)) % 997;
  const mix = (a, b) => Math.round(a + ((b - a) * (h % 100)) / 100).toString(16).padStart(2, "0");
  return `#${mix(246, 233)}${mix(222, 176)}${mix(160, 96)}`;
}
