// Named loops and marks of a song: kept, listed, gone to, renamed and removed.
import { exactly } from "./timeline.js";

const MOST = 50;
const LONGEST_NAME = 40;

export class Marks {
  // `go(mark)` is called with {name, a, b} for a loop and {name, a} for a mark; `changed()` when the list has changed.
  constructor(list, go, changed) {
    this.list = list;
    this.go = go;
    this.changed = changed;
    this.all = [];
  }

  set state(all) {
    this.all = (Array.isArray(all) ? all : []).slice(0, MOST);
    this.show();
  }

  get state() { return this.all; }

  add(a, b = null) {
    if (this.all.length >= MOST) return;
    const kind = b === null ? "Mark" : "Loop";
    const n = this.all.filter((mark) => (mark.b === null) === (b === null)).length + 1;
    this.all.push({ name: `${kind} ${n}`, a, b });
    this.all.sort((one, two) => one.a - two.a);
    this.show();
    this.changed();
  }

  show() {
    this.list.hidden = !this.all.length;
    this.list.replaceChildren(...this.all.map((mark) => this.item(mark)));
  }

  item(mark) {
    const item = document.createElement("li");
    const go = button("go", mark.b === null ? exactly(mark.a) : `${exactly(mark.a)}–${exactly(mark.b)}`, `Go to ${mark.name}`);
    go.addEventListener("click", () => this.go(mark));
    const name = document.createElement("input");
    Object.assign(name, { type: "text", value: mark.name, maxLength: LONGEST_NAME, ariaLabel: "Name", size: Math.max(6, mark.name.length) });
    name.addEventListener("change", () => { mark.name = name.value; this.changed(); });
    const remove = button("remove", "×", `Remove ${mark.name}`);
    remove.addEventListener("click", () => {
      this.all = this.all.filter((one) => one !== mark);
      this.show();
      this.changed();
    });
    item.append(name, go, remove);
    return item;
  }
}

function button(name, text, label) {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", className: name, textContent: text, ariaLabel: label, title: label });
  return made;
}
