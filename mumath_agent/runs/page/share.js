// A shared solution: the question, the answer, and every attempt. Without KaTeX's fonts formulas are MathML.

globalThis.KATEX_OPTIONS = { output: "mathml" };
const told = JSON.parse(document.getElementById("data").textContent);

function attempt(made) {
  const title = element("summary", {}, element("h2", {}, `Attempt ${made.sample + 1}`), " ", ...visible(made.line));
  const turns = made.turns.flatMap((each, index) => turn(each, index));
  return element("details", { open: made.sample === told.best }, title, ...turns);
}

document.getElementById("page").replaceChildren(
  element("h1", {}, ...prose(told.question, told.question_runs)),
  element("p", { class: "result" }, ...(told.answer === null ? visible(told.line) : ["Answer: ", answerOf(told.answer)])),
  told.votes && element("p", { class: "dim" }, ...visible(told.votes)),
  told.caution && element("p", { class: "dim" }, ...visible(told.caution)),
  ...told.attempts.map(attempt),
  element("p", { class: "dim" }, ...visible(told.made_by)),
);
