"use strict";
// Draws the turns of an attempt. What a model or a program wrote is only ever made into text nodes, and formulas by KaTeX,
// which may neither load nor link to anything; a page without KaTeX shows them as they were written.

// What can't be seen or turns the direction of text around: control and format characters, but not tab and newline.
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\u{e0000}-\u{e0fff}]/gu;
const DELIMITERS = [["$$", "$$"], ["\\[", "\\]"], ["\\(", "\\)"], ["$", "$"]];
const TYPESETTING = { trust: false, strict: "ignore", throwOnError: true, maxExpand: 200, maxSize: 8, errorColor: "currentcolor" };
const PROSE = { s: "strong", t: "code", h: "strong" };
const MAX_DEPTH = 150; // of a formula's elements
const MOST_PIECES = 1000; // of a text; one with more is shown as it was written
const WIDE = 40; // characters of a formula's source
const typeset = new Map(); // formulas that were drawn before, by their source

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== false && child !== ""));
  return made;
}

function turn(made, index, heading = "h3") {
  const tokens = `${made.prompt_tokens.toLocaleString("en")} tokens read, ${made.completion_tokens} written`;
  const about = element("span", { class: "dim" }, made.completion_tokens ? tokens : "");
  const parts = made.parts.map((part) => block(part, made.ran));
  const cut = made.cut && element("p", { class: "notice" }, "Cut by the token limit.");
  const title = element(heading, { class: "turn" }, `Turn ${index + 1} `, about);
  return [title, ...parts, ...figures(made.ran), cut].filter(Boolean);
}

function block(part, ran) {
  const drawn = part.kind === "rationale" ? prose(part.text, part.colours) : coloured(part.text, part.colours);
  const text = [marks(part.before), ...drawn, marks(part.after)];
  if (part.kind === "rationale") return element("div", { class: "rationale" }, ...text);
  const failed = part.kind === "output" && Boolean(ran?.failed);
  const label = element("figcaption", {}, ...labels(part, ran).flatMap((said) => [said, " "]));
  const about = { class: `${part.kind}${failed ? " failed" : ""}` };
  return element("figure", about, label, element("pre", { tabindex: "0" }, ...text));
}

function labels(part, ran) {
  const said = [];
  if (part.kind === "code") said.push("Program");
  if (part.kind === "code" && typeof ran?.edited === "string") said.push(notice("changed by a person before it ran"));
  if (part.kind === "invented") said.push(notice("Output made up by the model; nothing was run"));
  if (part.kind === "note") said.push("Nudge from the agent");
  if (part.kind === "output") said.push(ran?.failed ? notice(`Output: ${ran.status}`) : ran?.status === "running" ? "Output so far" : "Output");
  if (part.kind === "output" && ran?.seconds) said.push(seconds(ran.seconds));
  if (part.kind === "output" && ran?.state === "lost") said.push(notice("session lost"));
  if (part.kind === "output" && ran?.state === "rebuilt") said.push(notice("session rebuilt"));
  if (part.unclosed) said.push(notice("not closed"));
  return said;
}

const notice = (text) => element("span", { class: "notice" }, text);
const marks = (text) => (text ? element("span", { class: "marks" }, text) : "");

function runsOf(text, runs) {
  const symbols = Array.from(text);
  let start = 0;
  return Array.from(runs.matchAll(/([a-z])(\d+)/g), ([, kind, length]) => [
    kind,
    symbols.slice(start, (start += Number(length))).join(""),
  ]);
}

function coloured(text, runs) {
  const pieces = runs ? runsOf(text, runs) : [["p", text]];
  return pieces.flatMap(([kind, piece]) =>
    kind === "p" ? visible(piece) : [element("span", { class: `py-${kind}` }, ...visible(piece))],
  );
}

function prose(text, runs) {
  const pieces = runs ? runsOf(text, runs) : [["p", text]];
  if (pieces.length > MOST_PIECES) return visible(text);
  return pieces.flatMap(([kind, piece], at) => {
    if (kind === "p") return visible(withoutBreaks(piece, pieces[at - 1]?.[0] === "d", pieces[at + 1]?.[0] === "d"));
    if (kind === "i" || kind === "d") return [formula(piece, kind === "d")];
    const [opening] = /^(\*\*|`+|#+ )/.exec(piece);
    const inside = piece.slice(opening.length, kind === "h" ? undefined : -opening.length);
    return [element(PROSE[kind], {}, ...visible(inside))];
  });
}

/** Return text without the line breaks next to a formula that stands on a line of its own. */
function withoutBreaks(text, isAfter, isBefore) {
  const rest = isAfter ? text.replace(/^\n/, "") : text;
  return isBefore ? rest.replace(/\n$/, "") : rest;
}

/** Return an answer: words as words, anything else as a formula. */
function answerOf(text) {
  const isFormula = text.length <= 300 && /[\\^_=\d]/.test(text) && !/[A-Za-z]{3,} [A-Za-z]|[<>"]/.test(text);
  return isFormula ? formula(`$${text}$`, false) : element("span", {}, ...visible(text));
}

function formula(source, display) {
  const known = typeset.get(source);
  if (known) return known.cloneNode(true);
  const [opening, closing] = DELIMITERS.find(([begin]) => source.startsWith(begin)) ?? ["", ""];
  const tex = source.slice(opening.length, source.length - closing.length);
  const isWide = source.length > WIDE; // it may have to be scrolled, also with the keyboard
  const kind = `formula${display ? " display" : ""}${isWide ? " wide" : ""}`;
  const made = element("span", { class: kind, tabindex: isWide && "0" });
  try {
    katex.render(tex, made, { ...TYPESETTING, displayMode: display, ...(globalThis.KATEX_OPTIONS ?? {}) });
    if (isDeep(made) || isFar(made)) throw new RangeError("it would take minutes to lay out, or the whole page");
  } catch {
    made.replaceChildren(...visible(source)); // KaTeX isn't here, or doesn't understand it
  }
  if (typeset.size > 2000) typeset.clear();
  typeset.set(source, made);
  return made.cloneNode(true);
}

/** Tell whether elements are nested so deep that a browser takes minutes to lay them out. */
function isDeep(root) {
  let level = [root];
  for (let depth = 0; level.length; depth++) {
    if (depth > MAX_DEPTH) return true;
    level = level.flatMap((each) => Array.from(each.children));
  }
  return false;
}

/** Tell whether something is moved or stretched by a hundred letters or more; arrows and roots are SVG, cut to size. */
function isFar(root) {
  const lengths = Array.from(root.querySelectorAll(":not(svg, svg *)"), (each) => Array.from(each.attributes));
  return lengths.flat().some(({ value }) => /(?:^|[^.\d])\d{3,}(?:\.\d+)?(?:em|ex|px|pt|mu)/.test(value));
}

/** Return text nodes, with what can't be seen written out. */
function visible(text) {
  const pieces = [];
  let position = 0;
  for (const found of text.matchAll(UNSEEN)) {
    const code = found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    pieces.push(text.slice(position, found.index), element("span", { class: "unseen" }, `U+${code}`));
    position = found.index + found[0].length;
  }
  return [...pieces, text.slice(position)].filter((piece) => piece !== "");
}

function figures(ran) {
  const images = (ran?.figures ?? []).filter((source) => source.startsWith("data:image/png;base64,"));
  return images.map((source, index) => element("img", { src: source, alt: `Figure ${index + 1} of this turn` }));
}

function seconds(value) {
  if (value < 1) return `${Math.round(1000 * value)} ms`;
  return value < 100 ? `${value.toPrecision(3)} s` : `${Math.round(value)} s`;
}
