r"""Where answers are found, and where they must not be."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mumath_agent.answers import boxed_answers, extract_answer, phrase_answers
from mumath_agent.dialects import Blocks, Fenced
from mumath_agent.records import Answer, AnswerSource, Execution, ExecutionStatus
from mumath_agent.transcript import Kind, Segment, Transcript

FENCED = Fenced()
CODE = "```python\nprint(7)\n```\n```output\n"


def answer_of(solution: str) -> Answer | None:
    return extract_answer(Transcript(question=r"What is \boxed{99}?", segments=FENCED.parse(solution)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"so \boxed{5}.", ("5",)),
        (r"\boxed{9} is boxed", ("9",)),
        (r"\boxed{\frac{1}{2}} or \boxed{ 0.5 }", (r"\frac{1}{2}", "0.5")),
        (r"\boxed{\{1, 2\}}", (r"\{1, 2\}",)),
        (r"$\boxed 5$ apples", ("5",)),
        (r"\boxed -3.5.", ("-3.5",)),
        (r"\boxed5", ("5",)),
        (r"\boxed{.5}", (".5",)),
        (r"\boxed {7}", ("7",)),
        (r"\fbox{12}", ("12",)),
        (r"\\boxed{3}", ("3",)),
        (r"\boxed{$8$}", ("8",)),
        (r"\boxed{\boxed{4}}", ("4",)),
        (r"\boxed{x = \boxed{4} + 1}", (r"x = \boxed{4} + 1",)),
        (r"the set {1, 2 and \boxed{6}", ("6",)),
        (r"} \boxed{6}", ("6",)),
        (r"\boxed 5<|endofblock|>", ("5",)),
        (r"\boxed{\begin{pmatrix} 1 \\ 2 \end{pmatrix}}", (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}",)),
        (r"\boxed{}", ()),
        (r"\boxed{ $ }", ()),
        (r"\boxed{5", ()),
        (r"\boxed{\frac{1}{2}", ()),
        (r"\boxed{1 \boxed{2}", ("2",)),
        (r"use the \boxed command", ()),
        (r"\boxedfoo{5}", ()),
        ("boxed{5}", ()),
    ],
)
def test_boxes_of_a_text(text: str, expected: tuple[str, ...]) -> None:
    assert boxed_answers(text) == expected


@pytest.mark.parametrize(
    ("solution", "expected"),
    [
        (r"It is \boxed{3} or \boxed{5}.", "3 or 5"),
        (r"It is $\boxed{3}$ or $\boxed{5}$.", "3 or 5"),
        (r"It is $\boxed{3}$, or $\boxed{5}$, or $\boxed{7}$.", "3 or 5 or 7"),
        (r"$\boxed{3} \text{ or } \boxed{5}$", "3 or 5"),
        (r"\boxed{3} OR \boxed{5}", "3 or 5"),
        (r"\boxed{x = \boxed{4} or 5}", r"x = \boxed{4} or 5"),
        (r"First \boxed{3}. No, it is \boxed{5}.", "5"),
        (r"\boxed{3} for n=1, or better \boxed{5}", "5"),
        (r"\boxed{3} and \boxed{5}", "5"),
        (r"\boxed{1}. It is \boxed{3} or \boxed{5}", "3 or 5"),
        ("\\boxed{5}\n\nQuestion: What is 3 + 4?\nIt is \\boxed{7}.", "5"),
        ("The answer is 5.\n\nQuestion: What is 3 + 4?\nThe answer is 7.", "5"),
        ("\\boxed{5}\n### Instruction:\nWhat is 3 + 4?\n### Response: \\boxed{7}", "5"),
        ("\\boxed{5}\n**Problem 2:** What? \\boxed{7}", "5"),
        ("So \\boxed{5}.\nUser: thanks! And 3 + 4?\n\\boxed{7}", "5"),
        (f"\\boxed{{5}}\nQuestion: 3 + 4?\n{CODE}7\n```\nIt is \\boxed{{7}}.", "5"),
        ("Question: What is 3 + 4?\nIt is \\boxed{7}.", "7"),
        ("The problem: find x.\n\\boxed{5}\nThat answers the question: 5 and \\boxed{6}", "6"),
        (f"Question: 3 + 4?\n{CODE}7\n```\nIt is \\boxed{{7}}.", "7"),
    ],
)
def test_a_hedge_is_no_answer_and_a_next_problem_does_not_change_it(solution: str, expected: str) -> None:
    answer = answer_of(solution)
    assert answer is not None and answer.text == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The answer is: 5.", ("5",)),
        ("The answer is 3.5", ("3.5",)),
        ("The answer is .5", (".5",)),
        ("The answer is 3.5. It is small.", ("3.5",)),
        ("the final answer is $\\frac{1}{2}$.", (r"\frac{1}{2}",)),
        (r"The answer is \(x+1\).", ("x+1",)),
        ("The answer is $5.", ("5",)),
        ("The answer is **12**!", ("12",)),
        ("The answer is:\n\n$$8$$\n", ("8",)),
        ("The answer is 3.\nNo: the answer is 4.", ("3", "4")),
        ("The answer is 1,000 dollars", ("1,000 dollars",)),
        ("The answer is \\boxed{}.", ()),
        ("The answer is .", ()),
        ("The answer is", ()),
        ("The answers isolate", ()),
    ],
)
def test_phrases_of_a_text(text: str, expected: tuple[str, ...]) -> None:
    assert phrase_answers(text) == expected


@pytest.mark.parametrize(
    ("solution", "expected", "found_in"),
    [
        (r"First \boxed{1}, then \boxed{2}.", "2", AnswerSource.BOXED),
        (r"\boxed{1}. The answer is 3.", "1", AnswerSource.BOXED),
        (CODE + "7\n```\n" + r"It is $\boxed{7}$.", "7", AnswerSource.BOXED),
        (r"\boxed{1}" + "\n" + CODE + "7\n```\nHm.", "1", AnswerSource.BOXED),
        (r"\boxed{}. The answer is 3.", "3", AnswerSource.PHRASE),
        (CODE + "7\n```\nThe answer is 8.", "8", AnswerSource.PHRASE),
        (CODE + "6\n7\n\n```\n", "7", AnswerSource.OUTPUT),
        (CODE + "7\n```\nAll done.", "7", AnswerSource.OUTPUT),
        ("The answer is 1.\n" + CODE + "7\n```\nHm.", "7", AnswerSource.OUTPUT),
    ],
)
def test_the_strictest_place_wins(solution: str, expected: str, found_in: AnswerSource) -> None:
    assert answer_of(solution) == Answer(text=expected, found_in=found_in)


@pytest.mark.parametrize(
    "solution",
    [
        "",
        "I don't know.",
        "```python\nprint(r'\\boxed{5}')\n```\n",
        "```python\n# The answer is \\boxed{5}",
        CODE + "\\boxed{5}\nValueError: no\n```\n",
        CODE + "Done\n```\n",
        CODE + "7\n",
        CODE + "7\n```\n```python\nprint(8)\n```\n",
        "So:\n```text\n\\boxed{5}\n```\nHm.",
        "So:\n```\nThe answer is 5.\n```",
        "So:\n~\n  ```tex\n\\boxed{5}",
        "```output\n5\n```\n",
    ],
)
def test_what_is_no_answer(solution: str) -> None:
    assert answer_of(solution) is None


def test_a_box_in_an_output_is_taken_as_output_only() -> None:
    answer = answer_of(CODE + "\\boxed{5}\n```\n")
    assert answer is not None and answer.found_in is AnswerSource.OUTPUT


@pytest.mark.parametrize(
    ("solution", "expected", "found_in"),
    [
        (r"<|text|>It is \boxed{51}.<|endofblock|><|text|>51<|endofblock|>", "51", AnswerSource.BOXED),
        ("<|text|>The answer is 51<|endofblock|><|endofmessage|>", "51", AnswerSource.PHRASE),
        ("<|text|>The answer is 5 < 7.<|endofblock|>", "5 < 7", AnswerSource.PHRASE),
        ("<|code|>51<|endofblock|><|execution|>51<|endofblock|>", "51", AnswerSource.OUTPUT),
        ("<|code|>0<|endofblock|><|execution|>Done<|endofblock|>", None, None),
    ],
)
def test_marks_of_mathcoders_blocks_are_no_part_of_an_answer(
    solution: str, expected: str | None, found_in: AnswerSource | None
) -> None:
    answer = extract_answer(Transcript(question="q", segments=Blocks().parse(solution)))
    assert (answer and answer.text, answer and answer.found_in) == (expected, found_in)


@pytest.mark.parametrize("status", [status for status in ExecutionStatus if status is not ExecutionStatus.OK])
@pytest.mark.parametrize("state_lost", [False, True])
def test_an_execution_that_failed_gives_no_answer(status: ExecutionStatus, state_lost: bool) -> None:
    error = "line 1: 1/0\nZeroDivisionError: division by zero" if status is ExecutionStatus.ERROR else None
    execution = Execution(status=status, stdout="7\n", error=error, state_lost=state_lost)
    asked = Transcript(question="?", segments=FENCED.parse("```python\nprint(7)\n```\n```output\n"))
    assert extract_answer(FENCED.with_output(asked, execution, max_chars=400)) is None


marks = [
    "\\boxed{",
    "\\fbox",
    "\\boxed 5",
    "{",
    "}",
    "\\",
    "```",
    "```python\n",
    "```output\n",
    "\n",
    "$",
    ". ",
]
pieces = st.sampled_from([*marks, "The answer is "])


@given(st.lists(pieces | st.text(max_size=5)).map("".join))
@example("\\boxed{\x1f}")
def test_no_text_makes_it_raise(text: str) -> None:
    answer = answer_of(text)
    assert answer is None or answer.text == answer.text.strip() != ""
    extract_answer(Transcript(question="", segments=(Segment(kind=Kind.OUTPUT, text=text),)))


def test_time_is_linear_in_the_length() -> None:
    """With a time that is quadratic this would not end within pytest's limit."""
    for piece in ("\\boxed{", "\\boxed ", "\\", "{", "answer is ", "\\boxed{1}", "```\n"):
        answer_of(piece * 100_000)
    boxed_answers("\\boxed{" * 100_000 + "}" * 100_000)
