r"""Find the final answer of a solution, as text.

The answer is the last `\boxed{…}` in prose, else what follows "the answer is" in the last prose, else the last line
that a program printed. Only the solution counts, not the question, and a box inside a program, an output or a fenced
block is never an answer. `grading` decides whether an answer is right.

Text in, text out: nothing is parsed as mathematics or evaluated here, and no text makes this raise.
"""

import re

from mumath_agent.prose import FENCE, is_or, own_segments, without_fenced_blocks
from mumath_agent.records import Answer, AnswerSource
from mumath_agent.transcript import Kind, Segment, Transcript

# A box with a brace, a box before a bare number, an escape, a brace. A doubled backslash is a common mistake.
_TEX = re.compile(
    r"\\\\?(?:boxed|fbox)\s*(?:(?P<box>\{)|(?P<bare>[-+]?\.?\d[^\s$<]*))|\\.|(?P<brace>[{}])", re.DOTALL
)
_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])")
_PHRASE = re.compile(r"\banswer\s+is\b\s*:?\s*", re.IGNORECASE)
_MARK = re.compile(r"<\|[a-z]+\|>")
"""A special token of MathCoder's dialect."""
_SENTENCE_END = re.compile(rf"\n|{_MARK.pattern}|[.!?](?=[\s\"')\]*$]|$)")
_MATH_MARKS = re.compile(r"\$|\\[()\[\]]|\*\*|\\displaystyle\b")
_SPACE = "".join(filter(str.isspace, map(chr, range(0x3001))))
# How an output says that there is no value; the words are those of `dialects.output`, as a test checks.
_FAILED = re.compile(
    r"^(?:[\w.]*(?:Error|Exception|Interrupt|Exit|Warning|StopIteration)(?::|$)|Traceback \(most recent"
    r"|The Python process died|The program was not run|\[The Python session was restarted)",
    re.MULTILINE,
)
_EMPTY_OUTPUT = "Done"


def extract_answer(transcript: Transcript) -> Answer | None:
    """Return the final answer of the solution and where it was found, or None if there isn't one."""
    segments = own_segments(transcript.segments)
    rationales = [without_fenced_blocks(s.text) for s in segments if s.kind is Kind.RATIONALE]
    for text in reversed(rationales):
        if box := _last_box(text):
            return Answer(text=box, found_in=AnswerSource.BOXED)
    if rationales and (phrases := phrase_answers(rationales[-1])):
        return Answer(text=phrases[-1], found_in=AnswerSource.PHRASE)
    if (line := _printed_answer(segments)) is not None:
        return Answer(text=line, found_in=AnswerSource.OUTPUT)
    return None


def boxed_answers(text: str) -> tuple[str, ...]:
    r"""Return the content of each `\boxed{…}`, `\boxed 5` and `\fbox{…}` of a text, in order.

    Empty and unclosed boxes are left out. Of nested boxes the outer one counts, unless it contains only the inner one.
    """
    contents = (_unwrapped(_bare(text[start:end])) for start, end in _boxes(text))
    return tuple(content for content in contents if content)


def _last_box(text: str) -> str | None:
    """Return the content of the last box; of several joined by "or" all of them, because a hedge is no answer."""
    spans = [span for span in _boxes(text) if _unwrapped(_bare(text[slice(*span)]))]
    first = len(spans) - 1
    while first > 0 and is_or(
        text[spans[first - 1][1] : spans[first][0]].strip("}").removesuffix("\\boxed{")
    ):
        first -= 1
    return (
        " or ".join(_unwrapped(_bare(text[slice(*span)])) for span in spans[first:]) or None
        if spans
        else None
    )


def phrase_answers(text: str) -> tuple[str, ...]:
    """Return what follows each "answer is" in a text: the rest of the sentence, without math delimiters."""
    found = (_sentence(rest) for rest in _PHRASE.split(text)[1:])
    return tuple(answer for answer in found if answer and not _BOX.search(answer))


def _boxes(text: str) -> list[tuple[int, int]]:
    """Return the spans of the contents of the outermost closed boxes, in one pass and linear time."""
    found: list[tuple[int, int]] = []
    open_braces: list[int | None] = []
    for token in _TEX.finditer(text):
        if token["bare"] is not None:
            found.append(token.span("bare"))
        elif token["box"] is not None:
            open_braces.append(token.end())
        elif token["brace"] == "{":
            open_braces.append(None)
        elif token["brace"] == "}" and open_braces and (start := open_braces.pop()) is not None:
            while found and found[-1][0] > start:
                found.pop()
            found.append((start, token.start()))
    return found


def _unwrapped(content: str) -> str:
    """Return `content`, or the content of the one box that is all of it."""
    inner = _boxes(content) if _BOX.match(content) else []
    if len(inner) == 1 and not content[inner[0][1] + 1 :]:
        return _bare(content[slice(*inner[0])])
    return content


def _bare(content: str) -> str:
    return content.strip(f"${_SPACE}").rstrip(f"$.,{_SPACE}")


def _sentence(rest: str) -> str:
    sentence = _SENTENCE_END.split(rest, maxsplit=1)[0]
    return _MATH_MARKS.sub("", sentence).strip(f":{_SPACE}").rstrip(f".,:;!?{_SPACE}")


def _printed_answer(segments: tuple[Segment, ...]) -> str | None:
    """Return the last line of the output that the solution ends with; prose may follow it, a program may not."""
    ending = segments[:-1] if segments and segments[-1].kind is Kind.RATIONALE else segments
    if not ending or ending[-1].kind is not Kind.OUTPUT or not ending[-1].closed:
        return None
    text = _MARK.sub("", ending[-1].text)
    if text.startswith(FENCE) or _FAILED.search(text):  # with its own header line: the model made it up
        return None
    lines = [line.strip() for line in text.split("\n") if line.strip() and not line.startswith(FENCE)]
    return lines[-1] if lines and lines != [_EMPTY_OUTPUT] else None
