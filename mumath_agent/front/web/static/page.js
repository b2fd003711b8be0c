// The page: asks, follows the answers of one conversation, and lists the earlier ones.

import { Answers } from "/static/answers.js";

const byId = (id) => document.getElementById(id);
const [form, question, model, attempts, approve] = ["ask", "question", "model", "attempts", "approve"].map(byId);
let conversation = /^\/c\/([\w-]+)$/.exec(location.pathname)?.[1] ?? null;
const answers = new Answers(byId("answers"), { post, say, expects, isRunning });
let source = null;
let isOver = false;
let isAsked = false; // here, and its answer hasn't been told yet

// --- the server

async function post(path, body) {
  const headers = { "content-type": "application/json" };
  try {
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    const told = await response.json().catch(() => ({}));
    if (response.ok) return told;
    const wantsKey = response.status === 401;
    problem(wantsKey ? "The server asks for its key again: reload the page." : (told.error ?? `The server said ${response.status}.`));
  } catch {
    problem("The server can't be reached. Is it still running?");
  }
  return null;
}

function problem(text) {
  byId("problem").textContent = text;
}

function say(text) {
  byId("said").textContent = text;
}

/** Tell once whether the reader waits for an answer. */
function expects() {
  const was = isAsked;
  isAsked = false;
  return was;
}

/** One question at a time: the next one can be asked when there is an answer. */
function isRunning(is) {
  const hadFocus = form.contains(document.activeElement);
  form.hidden = is;
  if (is && hadFocus) answers.focus();
}

// --- one conversation, as it changes

function follow() {
  source?.close();
  isOver = false;
  source = new EventSource(`/api/c/${conversation}/events`);
  const told = (name, take) => source.addEventListener(name, (event) => take(JSON.parse(event.data)));
  told("conversation", (views) => answers.all(views));
  told("answer", (view) => answers.changed(view));
  told("turn", (change) => answers.turn(change));
  told("turns", (change) => answers.turns(change));
  told("end", () => {
    isOver = true;
    source.close();
    start();
  });
  source.addEventListener("open", () => problem(""));
  source.addEventListener("error", () => {
    const isGone = source.readyState === EventSource.CLOSED;
    problem(isGone ? "There is no such conversation here." : "The server can't be reached; trying again …");
    if (isGone) start(); // which finds out whether it is the key that is missing
  });
}

// A browser opens few connections to a server: a tab that nobody looks at doesn't keep one.
document.addEventListener("visibilitychange", () => {
  if (!conversation || isOver) return;
  if (document.hidden) source.close();
  else follow();
});

// --- asking

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!question.value.trim()) return;
  problem("");
  const button = form.querySelector("button");
  button.disabled = true;
  const told = await post("/api/ask", {
    question: question.value,
    model: model.value,
    attempts: attempts.valueAsNumber,
    approve: approve.checked,
    conversation,
  });
  button.disabled = false;
  if (!told) return;
  remember();
  say("The question is being answered.");
  question.value = "";
  isAsked = true;
  if (told.conversation !== conversation) history.pushState(null, "", `/c/${told.conversation}`);
  show(told.conversation);
  start();
});

addEventListener("popstate", () => location.reload());

function show(id) {
  conversation = id;
  byId("welcome").textContent = "Conversation";
  byId("welcome").classList.add("unseen-text");
  byId("question-label").textContent = "Go on in this conversation";
  question.placeholder = "A follow-up; one attempt at a time keeps the Python session";
  question.rows = 2;
  follow();
}

question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});

function remember() {
  try {
    const chosen = { model: model.value, attempts: attempts.value, approve: approve.checked };
    localStorage.setItem("asked", JSON.stringify(chosen));
  } catch {
    // storage may be switched off
  }
}

function recall() {
  try {
    return JSON.parse(localStorage.getItem("asked")) ?? {};
  } catch {
    return {};
  }
}

// --- what there is

async function start() {
  const response = await fetch("/api/start").catch(() => null);
  if (response?.status === 401) return location.reload(); // the form for the key
  if (!response?.ok) return problem("The server can't be reached. Is it still running?");
  const told = await response.json();
  byId("conversations").replaceChildren(...told.history.map(listed));
  byId("no-history").hidden = told.history.length > 0;
  if (model.options.length) return;
  model.replaceChildren(...told.models.map((each) => element("option", { value: each.name }, each.label)));
  const chosen = recall();
  if (told.models.some((each) => each.name === chosen.model)) model.value = chosen.model;
  attempts.max = told.most_attempts;
  attempts.value = chosen.attempts ?? told.attempts;
  approve.checked = chosen.approve === true;
}

function listed(one) {
  const isHere = one.id === conversation;
  const link = element(
    "a",
    { href: `/c/${one.id}`, "aria-current": isHere && "page" },
    element("span", { class: "asked" }, ...prose(one.question, one.question_runs)),
    one.answer !== null && element("span", { class: "answered" }, answerOf(one.answer)),
  );
  const label = `Remove: ${one.question.slice(0, 60)}`;
  const remove = element("button", { type: "button", class: "remove", "aria-label": label, title: "Remove" }, "×");
  remove.addEventListener("click", async () => {
    if (!confirm("Remove this conversation?")) return;
    if (!(await post(`/api/c/${one.id}/remove`, {}))) return;
    if (isHere) location.assign("/");
    else start();
  });
  return element("li", {}, link, remove);
}

if (conversation) show(conversation);
else question.focus();
start();
