// The events around the moment.

const AROUND = 14;

class EventList {
  constructor(view, root) {
    this.view = view;
    this.body = root.querySelector("tbody");
  }

  draw() {
    const { view } = this;
    const { events } = view;
    const rows = [];
    const from = Math.max(0, Math.min(view.n - 1 - AROUND, events.length - 2 * AROUND - 1));
    for (let i = from; i < Math.min(from + 2 * AROUND + 1, events.length); i++) {
      const ev = events.get(i);
      const tr = make("tr", { className: i === view.n - 1 ? "now" : i >= view.n ? "next" : "" });
      const kind = make("td", {});
      if (ev.event === "fault") {
        const [letter, color] = classOf(ev.cls);
        const chip = make("span", { className: "chip" }, letter);
        chip.style.background = color;
        chip.style.color = inkOn(color);
        kind.append(chip);
      }
      kind.append(ev.event);
      tr.append(
        make("td", {}, String(i + 1)), make("td", {}, seconds(ev.ns)), make("td", {}, String(ev.pid)),
        make("td", {}, String(ev.cpu)), kind, make("td", {}, what(ev)),
      );
      tr.onclick = () => {
        view.setMoment(i + 1);
        if (ev.frame) view.chooseFrame(ev.frame);
      };
      rows.push(tr);
    }
    this.body.replaceChildren(...rows);
  }
}
