// The life of the chosen frame until the moment.

const LIFEROWS = 400;

class Life {
  constructor(view, history, map, root) {
    Object.assign(this, { view, history, map, body: root.querySelector("#lifebody") });
    view.on("choice", () => this.draw());
  }

  draw() {
    const { view, history, map } = this;
    const pa = view.frame;
    if (!pa || !map.seen) return;
    const life = history.lifeOf(pa);
    const until = upTo(life, view.n - 1);
    const list = make("ol");
    for (let k = until - 1; k >= Math.max(until - LIFEROWS, 0); k--) {
      const ev = view.events.get(life[k]);
      const button = make("button", { title: what(ev) }, `${seconds(ev.ns)} [${ev.pid}] ${this.words(ev)}`);
      button.onclick = () => view.setMoment(ev.i + 1);
      list.append(make("li", {}, button));
    }
    const head = make("p", { className: "now" }, map.words(pa));
    head.style.whiteSpace = "pre-wrap";
    const more = until > LIFEROWS ? ` (the last ${LIFEROWS})` : "";
    const later = life.length - until;
    this.body.replaceChildren(
      head,
      make("p", { className: "note" }, `${many(until, "event")} until now${more}, the latest first${later ? `; ${later} to come` : ""}`),
      list,
    );
  }

  // What an event means for the frame.
  words(ev) {
    switch (ev.event) {
      case "page":
        return `${ev.op}${ev.va ? ` for ${hex(ev.va)}` : ""}${ev.image !== NOIMAGE ? ` (${imageWord(ev.image)} ${hex(ev.daddr, 1)})` : ""} ref ${ev.ref}`;
      case "entry":
        return `in segment ${ev.segment} at ${hex(ev.va)}`;
      case "fault":
        return `${ev.cls} ${ev.access} ${hex(ev.addr)} ${ev.symbol}`;
      default:
        return `${ev.event} ${ev.op} ${ev.va ? hex(ev.va) : ""} ${ev.access}`;
    }
  }
}
