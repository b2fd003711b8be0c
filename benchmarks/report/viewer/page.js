// Lists the attempts that the filters let through and shows the one that is chosen. All of it is in the address: filters,
// order and attempt, so that any view can be sent to somebody. What models wrote is only ever made into text nodes.

const ROWS = 200; // drawn at a time; more follow as one scrolls
const MARKS = { correct: "✓", incorrect: "✗", "no answer": "∅", ungraded: "?", "no verdict": "·" };
const ATTEMPTS = JSON.parse(document.getElementById("data").textContent);
const [form, list, pane, count] = ["filters", "list", "pane", "count"].map((id) => document.getElementById(id));
const collator = new Intl.Collator("en", { numeric: true });
const ORDERS = {
  "": () => 0,
  id: (a, b) => collator.compare(a.problem, b.problem) || a.sample - b.sample,
  turns: (a, b) => b.turns.length - a.turns.length,
  tokens: (a, b) => b.tokens - a.tokens,
  seconds: (a, b) => b.seconds - a.seconds,
};
const texts = new Map(); // of attempts, for the search; made when first needed

let shown = ATTEMPTS;
let chosen = null;

// --- the list

function passes(attempt, wanted) {
  return Object.entries(wanted).every(([name, value]) =>
    name === "text" ? textOf(attempt).includes(value.toLowerCase()) : attempt.facets[name] === value,
  );
}

function textOf(attempt) {
  if (!texts.has(attempt)) {
    const parts = attempt.turns.flatMap((turn) => turn.parts.map((part) => part.text));
    texts.set(attempt, [attempt.name, attempt.question, attempt.answer, ...parts].join("\n").toLowerCase());
  }
  return texts.get(attempt);
}

function drawList() {
  const { sort, marks: _, ...choices } = Object.fromEntries(new FormData(form));
  const wanted = Object.fromEntries(Object.entries(choices).filter(([, value]) => value));
  shown = ATTEMPTS.filter((attempt) => passes(attempt, wanted)).sort(ORDERS[sort]);
  const all = ATTEMPTS.length.toLocaleString("en");
  count.textContent = `${shown.length.toLocaleString("en")} of ${all} attempts`;
  pane.classList.toggle("with-marks", form.elements.marks.checked);
  list.replaceChildren();
  list.scrollTop = 0;
  drawRows(ROWS);
}

function drawRows(until) {
  const rows = shown.slice(list.children.length, until).map(row);
  list.append(...rows);
}

function row(attempt) {
  const { outcome, cause } = attempt.facets;
  const turns = attempt.turns.length;
  const button = element(
    "button",
    { type: "button", "data-name": attempt.name, "aria-current": attempt === chosen && "true" },
    element("span", { class: `mark ${classOf(outcome)}`, title: cause }, MARKS[outcome]),
    element("span", { class: "id" }, attempt.name),
    element("span", { class: "dim" }, `${turns} turn${turns === 1 ? "" : "s"} · ${attempt.tokens} tok`),
    element("span", { class: "result" }, attempt.answer ?? `(${cause})`, outcome === "incorrect" && ` · gold ${attempt.gold}`),
  );
  return element("li", {}, button);
}

const classOf = (outcome) => outcome.replace(" ", "-");

// --- the transcript

function choose(attempt) {
  chosen = attempt ?? null;
  list.querySelector("[aria-current]")?.removeAttribute("aria-current");
  if (!chosen) {
    pane.replaceChildren(element("p", { class: "hint" }, "Choose an attempt. ↑ and ↓ go through the list."));
    return;
  }
  const position = shown.indexOf(chosen);
  drawRows(position + 2);
  const button = list.children[position]?.firstChild;
  button?.setAttribute("aria-current", "true");
  button?.scrollIntoView({ block: "nearest" });
  pane.replaceChildren(...transcript(chosen));
  pane.scrollTop = 0;
}

function transcript(attempt) {
  return [
    heading(attempt),
    result(attempt),
    element("h3", {}, "Question"),
    element("p", { class: "question" }, attempt.question),
    ...attempt.turns.flatMap((made, index) => turn(made, index)),
    element("p", { class: "stop" }, `Ended: ${attempt.stop}`),
  ];
}

function heading(attempt) {
  const { run, cause, outcome, ...tags } = attempt.facets;
  const facts = [
    run,
    attempt.sample ? `sample ${attempt.sample}` : null,
    ...Object.entries(tags).map(([name, value]) => `${name.replace("tag-", "")} ${value}`),
    `${attempt.cells} program${attempt.cells === 1 ? "" : "s"}`,
    `${attempt.tokens.toLocaleString("en")} tokens written`,
    seconds(attempt.seconds),
  ];
  return element(
    "header",
    {},
    element("h2", {}, attempt.problem, element("span", { class: `badge ${classOf(outcome)}` }, cause)),
    element("p", { class: "dim" }, facts.filter(Boolean).join(" · ")),
  );
}

function result(attempt) {
  const { gold, answer, found_in: place, method, detail, error, facets } = attempt;
  const pairs = [
    ["Gold", gold ?? "none known", gold === null ? "dim" : "value"],
    ["Answer", answer ?? "none", answer === null ? "dim" : `value ${classOf(facets.outcome)}`],
    ["Found in", { boxed: "a box", phrase: "a phrase", output: "the last output" }[place], ""],
    ["Graded by", [method, detail].filter(Boolean).join(": "), ""],
    ["Broke", error, "incorrect"],
  ];
  const items = pairs
    .filter(([, text]) => text)
    .map(([name, text, kind]) => element("div", {}, element("dt", {}, name), element("dd", { class: kind }, text)));
  return element("dl", {}, ...items);
}

// --- the address

function readAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  form.reset();
  for (const control of form.elements) {
    const value = wanted.get(control.name);
    if (control.type === "checkbox") control.checked = value !== null;
    else if (value !== null && control.name) control.value = value;
    if (control.tagName === "SELECT" && control.selectedIndex < 0) control.value = "";
  }
  drawList();
  choose(ATTEMPTS.find((attempt) => attempt.name === wanted.get("attempt")) ?? shown[0]);
}

function writeAddress() {
  const parts = [...new FormData(form)].filter(([, value]) => value);
  if (chosen) parts.push(["attempt", chosen.name]);
  history.replaceState(null, "", `#${new URLSearchParams(parts)}`);
}

function filterAgain() {
  drawList();
  choose(shown.includes(chosen) ? chosen : shown[0]);
  writeAddress();
}

function move(by) {
  const next = shown[Math.max(0, Math.min(shown.length - 1, shown.indexOf(chosen) + by))];
  if (next) choose(next);
  writeAddress();
}

let waiting = 0;
form.addEventListener("input", (event) => {
  clearTimeout(waiting);
  waiting = setTimeout(filterAgain, event.target.name === "text" ? 150 : 0);
});
form.addEventListener("reset", () => setTimeout(filterAgain));
form.addEventListener("submit", (event) => event.preventDefault());
list.addEventListener("click", (event) => {
  const name = event.target.closest("button")?.dataset.name;
  if (name === undefined) return;
  choose(ATTEMPTS.find((attempt) => attempt.name === name));
  writeAddress();
});
list.addEventListener("scroll", () => {
  if (list.scrollTop + 2 * list.clientHeight > list.scrollHeight) drawRows(list.children.length + ROWS);
});
for (const button of document.querySelectorAll("[data-cause]")) {
  button.addEventListener("click", () => {
    form.reset();
    for (const name of ["cause", "run"]) {
      if (form.elements[name]) form.elements[name].value = button.dataset[name] ?? "";
    }
    setTimeout(filterAgain);
  });
}
document.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
  if (!step || event.target.closest("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  move(step);
});
addEventListener("hashchange", readAddress);
readAddress();
