// Draws the answers of a conversation and changes only what has changed: what a person reads, edits or has selected
// stays where it is. `element`, `turn`, `block` and so on are those of transcript.js.

const STATES = {
  begun: "beginning",
  writing: "writing",
  running: "running a program",
  asking: "waiting for you",
  ended: "ended",
  cancelled: "not needed",
};
const ENDED = { stopped: "Stopped", failed: "Failed", interrupted: "Interrupted before there was an answer" };

const OPEN = ["none", "rlimits-only"]; // levels at which programs have the user's rights

export class Answers {
  constructor(root, page) {
    [this.root, this.page, this.boxes] = [root, page, []];
  }

  all(views) {
    this.boxes.splice(views.length).forEach((box) => box.root.remove());
    views.forEach((view, at) => {
      if (!this.boxes[at]) {
        this.boxes.push(new Answer(view, this.page, at));
        this.root.append(this.boxes[at].root);
      }
      this.boxes[at].all(view, at === views.length - 1);
    });
    const last = views.at(-1);
    this.page.isRunning(last?.state === "running");
    if (last) document.title = `${last.result?.answer ?? "…"} · ${views[0].question.slice(0, 60)}`;
  }

  focus() {
    this.boxes.at(-1)?.root.focus();
  }

  changed(view) {
    this.boxes.at(-1).changed(view);
  }

  turn({ sample, turn: number, from, changed }) {
    this.boxes.at(-1).attempt(sample).turn(number, from, changed);
  }

  turns({ sample, number }) {
    this.boxes.at(-1).attempt(sample).cut(number);
  }
}

class Answer {
  constructor(view, page, at) {
    [this.view, this.page, this.attempts, this.programs] = [{ ...view, asked: [] }, page, new Map(), new Map()];
    const names = ["status", "result", "votes", "asked", "actions", "attempts"];
    this.parts = Object.fromEntries(names.map((name) => [name, element("div", { class: name })]));
    const title = element("h2", { class: "question" }, ...prose(view.question, view.question_runs));
    this.root = element("section", { class: "answer", tabindex: "-1", "aria-label": `Answer ${at + 1}` });
    this.root.append(title, this.about(view), ...Object.values(this.parts));
    this.drawn = {};
  }

  about(view) {
    const attempts = view.number > 1 ? `${view.number} attempts` : "1 attempt";
    const time = new Date(view.asked_at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    return element("p", { class: "dim about" }, ...visible([view.model, attempts, time].join(" · ")));
  }

  /** Show everything: attempts come with their turns. */
  all(view, isLast) {
    const wasRunning = this.view.state === "running";
    const samples = new Set(view.attempts.map((each) => each.sample));
    for (const [sample, box] of this.attempts) {
      if (samples.has(sample)) continue;
      box.root.remove();
      this.attempts.delete(sample);
    }
    for (const made of view.attempts) this.attempt(made.sample).all(made.turns);
    this.changed(view);
    if (isLast && view.state !== "running" && (wasRunning || this.page.expects())) this.ended(view);
  }

  /** Show everything but turns. */
  changed(view) {
    this.tell(view);
    this.view = view;
    this.draw("status", [view.state, view.note, view.result?.caution, view.result?.isolation], () => this.status(view));
    this.draw("result", view.result, () => this.result(view.result));
    this.draw("votes", [view.votes, view.number], () => this.votes(view));
    this.draw("actions", [view.state, Boolean(view.result)], () => this.actions(view));
    this.asked(view.asked);
    for (const made of view.attempts) this.attempt(made.sample).changed(made, view);
    this.parts.attempts.classList.toggle("several", view.attempts.length > 1 && view.state === "running");
  }

  attempt(sample) {
    if (!this.attempts.has(sample)) {
      const box = new Attempt(sample);
      this.attempts.set(sample, box);
      const later = [...this.attempts.values()].find((other) => other.sample > sample);
      this.parts.attempts.insertBefore(box.root, later?.root ?? null);
    }
    return this.attempts.get(sample);
  }

  draw(name, data, make) {
    const now = JSON.stringify(data ?? null);
    if (this.drawn[name] === now) return;
    const hadFocus = this.parts[name].contains(document.activeElement);
    this.parts[name].replaceChildren(...make().filter(Boolean));
    this.drawn[name] = now;
    if (hadFocus) this.root.focus();
  }

  status(view) {
    const isFailed = view.state === "failed";
    const said = [ENDED[view.state], view.note].filter(Boolean).join(": ");
    return [
      said && element("p", { class: isFailed ? "notice" : "note" }, ...visible(said)),
      OPEN.includes(view.result?.isolation) && element("p", { class: "notice" }, "Its programs weren't isolated."),
      view.result?.caution && element("p", { class: "note" }, ...visible(view.result.caution)),
    ];
  }

  result(result) {
    if (!result) return [];
    const label = element("h3", {}, "Answer");
    if (result.answer === null) return [label, element("p", { class: "none" }, ...visible(result.line))];
    const several = this.view.number > 1;
    return [
      label,
      element("p", { class: "value" }, answerOf(result.answer)),
      several && element("p", { class: result.is_low ? "confidence low" : "confidence" }, ...confidence(result)),
    ];
  }

  votes(view) {
    if (view.number === 1 || !view.votes.length) return [];
    const rows = view.votes.slice(0, 6).map(({ answer, votes }) => {
      const bar = element("span", { class: "bar", "aria-hidden": "true" }, element("span", {}));
      bar.firstChild.style.width = `${(100 * votes) / view.number}%`;
      const name = element("span", { class: "name" }, answerOf(answer));
      const number = element("span", { class: "number" }, `${votes}`, hidden(votes === 1 ? " vote" : " votes"));
      return element("li", {}, name, bar, number);
    });
    return [element("h3", {}, "Votes"), element("ol", {}, ...rows)];
  }

  actions(view) {
    if (view.state === "running") {
      const stop = button("Stop", async () => {
        stop.textContent = "Stopping …"; // a disabled button would lose the focus
        await this.page.post(`${here()}/stop`, {});
      });
      return [stop];
    }
    if (!view.result) return [];
    return [
      element("a", { href: `/a/${view.id}.ipynb`, download: "solution.ipynb" }, "Notebook"),
      element("a", { href: `/a/${view.id}.html`, download: "solution.html" }, "Page to share"),
    ];
  }

  asked(asked) {
    const tokens = new Set(asked.map((each) => each.token));
    for (const [token, made] of this.programs) {
      if (tokens.has(token)) continue;
      if (made.contains(document.activeElement)) this.root.focus();
      made.remove();
      this.programs.delete(token);
    }
    for (const each of asked) {
      if (this.programs.has(each.token)) continue;
      const made = decision(each, (chosen) =>
        this.page.post(`${here()}/decide`, { token: each.token, decision: chosen }),
      );
      this.programs.set(each.token, made);
      this.parts.asked.append(made);
    }
  }

  /** Tell whoever doesn't see the page what is new. */
  tell(view) {
    const known = new Set(this.view.asked.map((each) => each.token));
    const waiting = view.asked.find((each) => !known.has(each.token));
    if (waiting) this.page.say(`Attempt ${waiting.sample + 1} waits for you to decide on a program.`);
    for (const made of view.attempts) {
      const before = this.view.attempts.find((each) => each.sample === made.sample);
      if (made.state === "ended" && before && before.state !== "ended") {
        this.page.say(`Attempt ${made.sample + 1}: ${made.line}`);
      }
    }
  }

  ended(view) {
    this.page.say(view.result?.line ?? [ENDED[view.state], view.note].filter(Boolean).join(": "));
    for (const [sample, box] of this.attempts) box.fold(sample !== (view.result?.best ?? sample));
  }
}

class Attempt {
  constructor(sample) {
    [this.sample, this.boxes, this.drawn, this.isFolded] = [sample, [], "", null];
    this.state = element("span", { class: "state" });
    const title = element("summary", {}, element("h3", {}, `Attempt ${sample + 1}`), " ", this.state);
    this.body = element("div", { class: "turns" });
    this.root = element("details", { class: "attempt", open: true }, title, this.body);
  }

  all(turns) {
    this.cut(turns.length);
    turns.forEach((made, number) => this.turn(number, 0, made));
  }

  cut(number) {
    this.boxes.splice(number).forEach((box) => box.root.remove());
  }

  turn(number, from, changed) {
    if (!this.boxes[number]) {
      this.boxes.push({ root: element("div", { class: "one-turn" }), parts: [], source: "" });
      this.body.append(this.boxes[number].root);
    }
    const box = this.boxes[number];
    box.parts = [...box.parts.slice(0, from), ...changed.parts];
    const made = { ...changed, parts: box.parts };
    const source = JSON.stringify(made);
    if (source === box.source) return;
    const keeps = from > 0 && box.root.childNodes.length > from;
    if (keeps) {
      const [title, ...rest] = turn(changed, number, "h4");
      while (box.root.childNodes.length > from + 1) box.root.lastChild.remove();
      box.root.firstChild.replaceWith(title);
      box.root.append(...rest);
    } else {
      box.root.replaceChildren(...turn(made, number, "h4"));
    }
    box.source = source;
  }

  changed(made, view) {
    const isBest = view.result?.best === made.sample;
    const now = JSON.stringify([made.state, made.line, made.answer, isBest]);
    if (now === this.drawn) return;
    this.drawn = now;
    this.root.dataset.state = made.state;
    const said = made.line || STATES[made.state];
    const answer = made.answer === null ? visible(said) : [answerOf(made.answer)];
    this.state.replaceChildren(...answer);
    if (this.isFolded === null && view.state !== "running") this.fold(view.result && !isBest);
  }

  fold(isFolded) {
    this.isFolded = Boolean(isFolded);
    this.root.open = !isFolded;
  }
}

function decision(asked, decide) {
  const title = `Attempt ${asked.sample + 1} wants to run this program`;
  const shown = element("pre", { tabindex: "0" }, ...coloured(asked.visible, asked.colours));
  const edited = element("textarea", { spellcheck: "false", "aria-label": "The program" });
  edited.value = asked.visible; // what is seen is what runs
  edited.rows = Math.min(24, asked.visible.split("\n").length + 1);
  const why = element("input", { type: "text", maxlength: "500" });
  const reason = element("label", { class: "why" }, "Why not? The model is told (may be empty) ", why);
  const isHidden = asked.visible !== asked.program;
  const warning = element("p", { class: "notice" }, "It holds characters that can't be seen; they are written out here.");
  const made = element("section", { class: "decision", role: "group", "aria-label": title });
  let isSaid = false;
  const say = async (chosen) => {
    if (isSaid) return;
    isSaid = true;
    isSaid = (await decide(chosen)) !== null;
  };
  const action = (code) => ({ name: "python", args: { code } });
  const first = () => [
    shown,
    row(button("Run it", () => say({ type: "approve" }), "primary"), button("Edit", edit), button("Don't run it", refuse)),
  ];
  const show = (nodes, focused) => {
    made.replaceChildren(...[element("h3", {}, title), isHidden && warning, ...nodes].filter(Boolean));
    focused?.focus();
  };
  const back = button("Back", () => show(first(), null));
  const edit = () => {
    const run = button("Run this", () => say({ type: "edit", edited_action: action(edited.value) }), "primary");
    show([edited, row(run, back)], edited);
  };
  const refuse = () => {
    const no = button("Don't run it", () => say({ type: "reject", message: why.value }), "primary");
    show([shown, reason, row(no, back)], why);
  };
  show(first(), null);
  return made;
}

function button(text, act, kind = "plain") {
  const made = element("button", { type: "button", class: kind }, text);
  made.addEventListener("click", act);
  return made;
}

const row = (...buttons) => element("div", { class: "row" }, ...buttons);
const hidden = (text) => element("span", { class: "unseen-text" }, text);
const here = () => location.pathname.replace("/c/", "/api/c/");

function confidence(result) {
  const word = result.is_low ? "Low confidence" : "Confidence";
  const agreement = result.agreement === null ? "" : `; programs printed it in ${Math.round(100 * result.agreement)}\u00a0% of its votes`;
  return [`${word} ${result.confidence.toFixed(2)}${agreement}`];
}
