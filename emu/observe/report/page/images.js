// Images at the moment: the files that programs come from, and their pages that are cached.

const CHIPS = 600;

class Images {
  constructor(view, map, root) {
    Object.assign(this, { view, map, body: root.querySelector("#imagebody") });
  }

  draw() {
    const seen = this.map.seen;
    const { m } = seen;
    const caches = new Map();
    for (const n of m.images.keys()) caches.set(n, []);
    for (const [pa, f] of m.frames) {
      if (f.image === NOIMAGE) continue;
      if (!caches.has(f.image)) caches.set(f.image, []);
      caches.get(f.image).push([f.daddr, pa]);
    }
    if (!caches.size) {
      this.body.replaceChildren(make("p", { className: "note" }, "No image at this moment."));
      return;
    }
    const table = make("table", {}, make("thead", {}, make("tr", {}, ...["image", "file", "state", "cached pages, by offset in the file"].map((h) => make("th", {}, h)))));
    const tbody = make("tbody");
    for (const [n, pages] of Array.from(caches).sort((a, b) => a[0] - b[0])) {
      pages.sort((a, b) => a[0] - b[0]);
      const chips = make("div", { className: "pages" });
      for (const [daddr, pa] of pages.slice(0, CHIPS)) {
        const look = this.map.look(seen, pa, theme());
        const b = make("button", { className: "cell", tabIndex: -1, title: `${hex(daddr, 1)}: frame ${hex(pa)}\n${this.map.words(pa)}` }, look.letter);
        b.style.background = look.colors[0];
        b.style.color = inkOn(look.colors[0]);
        if (look.edge) b.style.boxShadow = `inset 0 -4px ${look.edge}`;
        b.onclick = () => this.view.chooseFrame(pa);
        chips.append(b);
      }
      if (pages.length > CHIPS) chips.append(make("span", { className: "gap" }, `${pages.length - CHIPS} more`));
      const state = n < 0 ? "the kernel's" : m.images.get(n)?.open ? "in use" : "only cached pages are left";
      tbody.append(make("tr", {}, make("td", {}, n < 0 ? "" : String(n)), make("td", {}, imageName(m, n)), make("td", {}, state), make("td", {}, `${many(pages.length, "page")} `, chips)));
    }
    table.append(tbody);
    this.body.replaceChildren(table);
  }
}
