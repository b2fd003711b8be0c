r"""What chat models really write: which program runs, what the answer is, and what is sent back.

Each row is a completion as a server or a model gave it. The transcripts keep the laws of `test_laws.py`.
"""

import pytest

from mumath_agent.answers import extract_answer
from mumath_agent.dialects import Chat, Fenced
from mumath_agent.dialects.calls import unreadable_call, with_calls
from mumath_agent.dialects.reasoning import without_reasoning
from mumath_agent.models.http.messages import wire_messages
from mumath_agent.protocols import Role, ToolCall
from mumath_agent.records import Completion, Execution, ExecutionStatus, FinishReason
from mumath_agent.transcript import Kind, Transcript

CHAT, TOOLS = Chat(), Chat(tool=True)
RUN = "print(6*7)\n"


def turn(text: str, dialect: Chat = CHAT, finish: FinishReason = FinishReason.STOP) -> Transcript:
    completion = Completion(text=text, finish_reason=finish, prompt_tokens=1, completion_tokens=1)
    transcript = dialect.with_completion(Transcript(question="q"), completion)
    assert Fenced().parse(transcript.text) == transcript.segments
    assert Fenced().pending_code(transcript) == dialect.pending_code(transcript)
    return transcript


def program(text: str, dialect: Chat = CHAT, finish: FinishReason = FinishReason.STOP) -> str | None:
    return dialect.pending_code(turn(text, dialect, finish))


def answer(text: str) -> str | None:
    found = extract_answer(turn(text))
    return found.text if found else None


@pytest.mark.parametrize("dialect", [CHAT, Chat(examples=True), TOOLS], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint(6*7)\n```",
        "```Python\nprint(6*7)\n```",
        "```PYTHON\nprint(6*7)\n```",
        "``` python\nprint(6*7)\n```",
        "```python \nprint(6*7)\n``` ",
        "```Python3\nprint(6*7)\n```",
        "```python3.11\nprint(6*7)\n```",
        "```py\nprint(6*7)\n```",
        "```ipython\nprint(6*7)\n```",
        "```{python}\nprint(6*7)\n```",
        "```{.python .numberLines}\nprint(6*7)\n```",
        "```python code\nprint(6*7)\n```",
        '```python title="a.py"\nprint(6*7)\n```',
        "```python:a.py\nprint(6*7)\n```",
        "```tool_code\nprint(6*7)\n```",
        "~~~python\nprint(6*7)\n~~~",
        "~~~ Python\nprint(6*7)\n~~~~",
        "````python\nprint(6*7)\n````",
        "```python\nprint(6*7)\n`````",
        "```python\r\nprint(6*7)\r\n```\r\n",
        "```python print(6*7)```",
        "I compute: ```python\nprint(6*7)\n```",
        "1. Compute:\n   ```python\n   print(6*7)\n   ```\n2. Say it.",
        "1. ```python\n   print(6*7)\n   ```",
        "- ~~~Python\n  print(6*7)\n  ~~~",
        "\t```py\n\tprint(6*7)\n\t```",
        "   ```python\n   print(6*7)\n```",
        "```python\nprint(6*7)\n   ```",
        "<code>\nprint(6*7)\n</code>",
        "<code>print(6*7)</code>",
        "<Code>\n```python\nprint(6*7)\n```\n</Code>",
        "<python>\nprint(6*7)\n</python>\nIt prints 42.",
        "<execute>\nprint(6*7)\n</execute>",
        "[PYTHON]\nprint(6*7)\n[/PYTHON]",
        "'''python\nprint(6*7)\n'''",
        "```\nprint(6*7)\n```",
        "```code\nprint(6*7)\n```",
        "~~~\nprint(6*7)\n~~~",
        "```\npython\nprint(6*7)\n```",
        "The result:\n```\n42\n```\nby\n```Python\nprint(6*7)\n```",
        "```text\na plan\n```\n```python\nprint(6*7)\n```",
        "```python\nprint(6*7)",
        "```python\nprint(6*7)\n",
        "```python\nprint(6*7)```",
        "```python\n>>> print(6*7)\n42\n```",
        "``` Python\nprint(6*7)",
        "<code>\nprint(6*7)\n",
        "```python\nprint(6*7)\n```\nOutput:\n```\n42\n```\nSo \\boxed{42}.",
        "```python\nprint(6*7)\n``` output\n42\n```\nSo \\boxed{42}.",
        "```python\nprint(6*7)\nThen".replace("Then", "```python\nprint(1)\n```"),
        '<tool_call>\n{"name": "python", "arguments": {"code": "print(6*7)"}}\n</tool_call>',
        '<tool_call>{"name": "python", "arguments": "{\\"code\\": \\"print(6*7)\\"}"}',
        "<tool_call>\n<function=python>\n<parameter=code>\nprint(6*7)\n</parameter>\n</function>\n</tool_call>",
        '```tool_call\n{"name": "python", "arguments": {"code": "print(6*7)"}}\n```',
    ],
)
def test_a_program_runs_however_it_is_fenced(dialect: Chat, text: str) -> None:
    first = program(text, dialect)
    assert first is not None and first.replace("\n\nprint(1)", "") == RUN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```\nx = 6\ny = x * 7\ny\n```", "x = 6\ny = x * 7\ny\n"),
        ("```\nfrom math import pi\n```", "from math import pi\n"),
        ("```\nfor i in range(3): i\n```", "for i in range(3): i\n"),
        (
            "````python\nprint('''\n```python\n''')\n````",
            "print('''\n ```python\n''')\n",
        ),
        ("  ```python\n  if 1:\n      s = '''\nx\n'''\n  ```", "if 1:\n    s = '''\nx\n'''\n"),
    ],
)
def test_a_block_keeps_its_program(text: str, expected: str) -> None:
    assert program(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "It is 3.",
        "```text\nprint(6*7)\n```",
        "```latex\n\\frac{1}{2}\n```",
        "```json\n{\"a\": [1, 2]}\n```",
        "```bash\npip install sympy\n```",
        "```output\nprint(6*7)\n```",
        "```Output\nprint(6*7)\n```",
        "```pycon\n>>> print(6*7)\n```",
        "```markdown\n```python\nprint(6*7)\n```\n",
        "```\n42\n```",
        "```\n30 180\n```",
        "```\n30 (180)\n```",
        "```\n[-1, 2, 3] 4\n```",
        "```\n\\frac{1}{2} + \\sqrt{2}\n```",
        "```\n{\"answer\": 42}\n```",
        "```\nThe answer\n```",
        "```\nx = 3\n```",
        "```\nx = 3\ny = 4\n```",
        "```\nf(x) = 3\n```",
        "```\nTraceback (most recent call last):\n```",
        "```\n\n```",
        "````\n```\n````",
        "The variable <code>x</code> is 3.",
        "<code>x</code> is a name.",
        "<code>\n42\n</code>",
        "```python\nThen I multiply 6 by 7.",
        "Use `print(6*7)`.",
        "> ```python\n> print(6*7)\n> ```",
    ],
)  # fmt: skip
@pytest.mark.parametrize("dialect", [CHAT, TOOLS], ids=lambda dialect: dialect.name)
def test_what_is_no_program_does_not_run(dialect: Chat, text: str) -> None:
    assert program(text, dialect) is None


@pytest.mark.parametrize(
    "text", ["```python\nprint(6*7)", "```\nprint(6*7)", "~~~py\nprint(6*7)\n", "<code>\nprint(6*7)"]
)
def test_what_the_token_limit_cut_does_not_run(text: str) -> None:
    assert program(text, finish=FinishReason.LENGTH) is None


@pytest.mark.parametrize(
    "code",
    [
        "(" * 50_000,
        "[" * 9_000 + "]" * 9_000,
        "f(" * 400 + ")" * 400,
        "-" * 19_000 + "1",
        "not " * 4_000 + "x()",
        "1" + "+1" * 9_000 + "+f()",
        "x" + ".a" * 9_000 + "()",
        "f" + "()" * 9_000,
        "lambda: " * 2_000 + "f()",
        "f() if a else " * 1_400 + "1",
        "if a: f()\n" + "elif b: f()\n" * 1_500,
        "".join(" " * n + "if a:\n" for n in range(150)) + " " * 150 + "f()",
        "f'" + "{" + "-" * 18_000 + "1}'; f()",
        "x = '" + "\\" * 19_000,
        '"""' * 6_000,
        "9" * 19_000 + "; f()",
        "\x00f()",
        "\ud800f()",
        "f()\x0c\n" * 2_000,
        "print(1)\n" * 100_000,
    ],
    ids=range(20),
)
def test_no_text_hurts_the_process_that_looks_whether_it_is_a_program(code: str) -> None:
    """Some of these end Python when they are parsed; all are only looked at."""
    program(f"```\n{code}\n```")
    program(f"```python\n{code}")
    program(with_calls("", [ToolCall(name="python", arguments=code)], cut=False), TOOLS)


MARKS = [
    "```\n",
    "```python\n",
    "<code>\n",
    "```text\n",
    " ```py\n",
    "<think>",
    "</think>",
    "<tool_call>",
    "```json\n{\n",
]
BEGINNINGS = ["<|channel|>", "``` py ", "```", "```json\n{", "{", '{"code": "', "<tool_call>", "<function=a>"]


def test_the_time_is_linear_in_the_length() -> None:
    """With a time that is quadratic this would not end within pytest's limit."""
    for mark in MARKS:
        program(mark * 4_000, TOOLS)
    for beginning in BEGINNINGS:
        program(f"{beginning}{' ' * 30_000}`x", TOOLS)
        program(f"{beginning}{'a' * 30_000}`x", TOOLS)
        program(f"{beginning}\n" * 5_000, TOOLS)


def test_a_line_of_many_tags_is_read_once() -> None:
    """Read anew for each tag, it would take longer than a test may."""
    tags = "<think>" * 700_000
    assert without_reasoning(tags) == (tags.removeprefix("<think>"), "")


THOUGHT = "<think>\nI wonder.\n</think>\n"


@pytest.mark.parametrize(
    ("text", "kept", "runs"),
    [
        ("<think>\nI wonder.\n</think>\n\nIt is \\boxed{3}.", f"{THOUGHT}It is \\boxed{{3}}.", None),
        ("<think>I wonder.</think>It is 3.", f"{THOUGHT}It is 3.", None),
        ("I wonder.\n</think>\n\nIt is 3.", f"{THOUGHT}It is 3.", None),
        ("<think>\nI wonder.", THOUGHT, None),
        ("<thinking>I wonder.</thinking>It is 3.", f"{THOUGHT}It is 3.", None),
        ("<thought>\nI wonder.\n</thought>\nIt is 3.", f"{THOUGHT}It is 3.", None),
        ("[THINK]I wonder.[/THINK]It is 3.", f"{THOUGHT}It is 3.", None),
        ("<seed:think>I wonder.</seed:think>It is 3.", f"{THOUGHT}It is 3.", None),
        ("<think>\n\n</think>\n\nIt is 3.", "It is 3.", None),
        (
            "<think>I wonder.</think>\n```python\nprint(6*7)\n```",
            f"{THOUGHT}```python\nprint(6*7)\n```\n```output\n",
            RUN,
        ),
        (
            "<think>\n```python\nprint(1)\n```\n</think>\nIt is 3.",
            "<think>\n ```python\nprint(1)\n ```\n</think>\nIt is 3.",
            None,
        ),
        (
            "Try\n```python\nprint(1)\n```\n</think>\n```Python\nprint(6*7)\n```",
            "<think>\nTry\n ```python\nprint(1)\n ```\n</think>\n```python\nprint(6*7)\n```\n```output\n",
            RUN,
        ),
        (
            "<|channel|>analysis<|message|>I wonder.<|end|><|start|>assistant<|channel|>final<|message|>"
            "It is 3.<|return|>",
            f"{THOUGHT}It is 3.\n",
            None,
        ),
        ("<|channel|>analysis<|message|>I wonder.", THOUGHT, None),
        ("analysisI wonder.assistantfinalIt is 3.", f"{THOUGHT}It is 3.", None),
        (
            "<|channel|>analysis<|message|>I wonder.<|end|><|start|>assistant<|channel|>commentary "
            'to=functions.python <|constrain|>json<|message|>{"code": "print(6*7)"}<|call|>',
            f"{THOUGHT}```python\nprint(6*7)\n```\n```output\n",
            RUN,
        ),
    ],
)
def test_thoughts_stand_at_the_head_and_are_not_read(text: str, kept: str, runs: str | None) -> None:
    transcript = turn(text)
    assert transcript.text == kept
    assert CHAT.pending_code(transcript) == runs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>\nIs it \\boxed{5}?\n</think>\nIt is \\boxed{3}.", "3"),
        ("<think>\nIt is \\boxed{5}.\n</think>\nDone.", None),
        ("<think>\nThe answer is 5.", None),
        ("The answer is 5.</think>The answer is 3.", "3"),
        ("<think>\nThe answer is 5.\nQuestion: is it?\n</think>\nIt is \\boxed{3}.", "3"),
        ("It is \\boxed{3}.\n\nQuestion: How many? It is \\boxed{5}.", "3"),
        ("It is \\boxed{3}.\n\nProblem: How many? It is \\boxed{5}.", "3"),
        ("It is \\boxed{3}.\n### Problem\nHow many? It is \\boxed{5}.", "3"),
        ("It is \\boxed{3}.\n### Problem 2: How many? It is \\boxed{5}.", "3"),
        ("It is \\boxed{3}.\n**Question 2:** How many? It is \\boxed{5}.", "3"),
        ("It is \\boxed{3}.\n**Next problem**\nHow many? It is \\boxed{5}.", "3"),
        ("It is \\boxed{3}.\nUser: How many?\nAssistant: It is \\boxed{5}.", "3"),
        ("It is \\boxed{3}.\nHuman: How many? It is \\boxed{5}.", "3"),
        ("It is \\boxed{3}.\nQ: How many?\nA: \\boxed{5}", "3"),
        ("It is \\boxed{3}.\n### Instruction:\nHow many? It is \\boxed{5}.", "3"),
        ("It is \\boxed{3}.<|im_start|>user\nHow many? It is \\boxed{5}.", "3"),
        ("The answer is 3.\n\nQuestion: How many? The answer is 5.", "3"),
        ("The answer is 3.\n\nQuestion: How many? It is \\boxed{5}.", "3"),
        ("It is \\boxed{3}.\nQ: How many?\n```python\nprint(1)\n```", "3"),
        ("So she sold 12/5 = 2 clips.\n#### 6\nThe answer is: 6", "6"),
        ("Question: q\nIt is \\boxed{3}.", "3"),
        ("It is \\boxed{3}. Problem solved.", "3"),
        ("First \\boxed{1}.\nThe question is harder:\nit is \\boxed{3}.", "3"),
        ("It is \\boxed{3} or \\boxed{5}.", "3 or 5"),
        ("It is $\\boxed{3}$ or $\\boxed{5}$.", "3 or 5"),
        ("$\\boxed{3} \\text{ or } \\boxed{5}$", "3 or 5"),
        ("$\\boxed{3} \\lor \\boxed{5} \\lor \\boxed{7}$", "3 or 5 or 7"),
        ("Either \\boxed{3}, or if he lied it is \\boxed{5}.", "3 or 5"),
        ("Maybe the answer is \\boxed{3} or perhaps it is \\boxed{5}.", "3 or 5"),
        ("It is \\boxed{3} or \\boxed{3}.", "3"),
        ("The solutions are \\boxed{3} and \\boxed{5}.", "5"),
        ("It is \\boxed{3}. No, I forgot one: it is \\boxed{5}.", "5"),
        ("It is \\boxed{3}, or rather \\boxed{5}.", "5"),
        ("It is \\boxed{\\frac{1}{2}} or equivalently \\boxed{0.5}.", "0.5"),
        ("Is it 1 or 2? First \\boxed{3}. Then I see that 4 or 6 fails: \\boxed{5}.", "5"),
        ("```text\n\\boxed{5}\n```\nIt is \\boxed{3}.", "3"),
    ],
)
def test_the_answer(text: str, expected: str | None) -> None:
    assert answer(text) == expected


def test_what_follows_the_answer_is_not_sent_back() -> None:
    kept = turn("It is \\boxed{3}.\n\nQuestion: How many?\n```python\nprint(1)\n```")
    assert kept.text == "It is \\boxed{3}.\n\n" and CHAT.pending_code(kept) is None


READ = [
    ('{"code": "print(6*7)"}', "print(6*7)"),
    ('{"code": "a = 6\nprint(a*7)"}', "a = 6\nprint(a*7)"),
    ('{"code": "if 1:\n\tprint(1)"}', "if 1:\n\tprint(1)"),
    ('{"code": "print(1)",}', "print(1)"),
    ('{"code": "print(1)", }\n', "print(1)"),
    ('{"code": "print(1)"}""', "print(1)"),
    ('{"code": "print(1)""}', "print(1)"),
    ('{"code": "print(1)"}}', "print(1)"),
    ('{"code": "print(1)"', "print(1)"),
    ('{"code": "print(1)', "print(1)"),
    ('{"code": "print("hi")"}', 'print("hi")'),
    ("{'code': 'print(6*7)'}", "print(6*7)"),
    ('{code: "print(6*7)"}', "print(6*7)"),
    ('{"code": """print(6*7)"""}', "print(6*7)"),
    ('{"code": "print(1)"}\nThis prints 1.', "print(1)"),
    ('```json\n{"code": "print(1)"}\n```', "print(1)"),
    ('{"code": "```python\\nprint(1)\\n```"}', "print(1)"),
    ('{"code": "```\\nprint(1)"}', "print(1)"),
    ('{"code": ["x = 6", "print(x)"]}', "x = 6\nprint(x)"),
    ('{"code": "print(1)", "language": "python"}', "print(1)"),
    ('{"input": "print(1)"}', "print(1)"),
    ('{"source": "print(1)", "timeout": 5}', "print(1)"),
    ('{"script": "print(1)"}', "print(1)"),
    ('{"expression": "6*7"}', "6*7"),
    ('{"arguments": {"code": "print(1)"}}', "print(1)"),
    ('"print(1)"', "print(1)"),
    ('"{\\"code\\": \\"print(1)\\\\nprint(2)\\"}"', "print(1)\nprint(2)"),
    ("print(6*7)", "print(6*7)"),
    ("x = 6\nprint(x*7)", "x = 6\nprint(x*7)"),
    ("```python\nprint(6*7)\n```", "print(6*7)"),
    # backslashes: as JSON says between tokens, as they stand where JSON's meaning can't be meant
    ('{"code": "x = 1\\nprint(x)"}', "x = 1\nprint(x)"),
    ('{"code": "eq = 1\\neq2 = 2\\nprint(eq)"}', "eq = 1\neq2 = 2\nprint(eq)"),
    ('{"code": "for i in (1, 2):\\n\\tprint(i)"}', "for i in (1, 2):\n\tprint(i)"),
    ('{"code": "print(r\'\\frac12\')"}', r"print(r'\frac12')"),
    ('{"code": "print(r\'\\\\frac12\')"}', r"print(r'\frac12')"),
    ('{"code": "print(r\'\\beta \\theta \\rho \\neq \\sum \\s\')"}', r"print(r'\beta \theta \rho \neq \sum \s')"),
    ('{"code": "print(\\"a\\nb\\")\\nprint(2)"}', 'print("a\\nb")\nprint(2)'),
    ('{"code": "print(\\"a\\\\nb\\")"}', 'print("a\\nb")'),
    ('{"code": "\\"\\"\\"It is\\nlong: \\frac\\"\\"\\"\\nprint(1)"}', '"""It is\nlong: \\frac"""\nprint(1)'),
    ('{"code": "# it\'s \\frac\\nprint(1)"}', "# it's \\frac\nprint(1)"),
    ('{"code": "import re\\nprint(re.findall(r\'\\bx\\b\', \'x\'))"}', "import re\nprint(re.findall(r'\\bx\\b', 'x'))"),
    ('{"code": "print(\\\'hi\\\')"}', "print('hi')"),
    ('{"code": "x = 1 + \\\\\\n  2\\nprint(x)"}', "x = 1 + \\\n  2\nprint(x)"),
    ('{"code": "x = 1\\r\\nprint(x)"}', "x = 1\nprint(x)"),
    ('{"code": "print(\'\\u03c0\')"}', "print('π')"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "code"), READ)
@pytest.mark.parametrize("name", ["python", "", "Python", "functions.python"])
def test_the_program_of_a_call(arguments: str, code: str, name: str) -> None:
    text = with_calls("Add.", [ToolCall(name=name, arguments=arguments)], cut=False)
    transcript = turn(text, TOOLS)
    assert TOOLS.pending_code(transcript) == f"{code}\n"
    assert unreadable_call(transcript) is None
    message = TOOLS.prompt(transcript).messages[-1]
    assert (message.text, message.code, message.failed_calls) == ("Add.", f"{code}\n", ())


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "{}",
        "null",
        "42",
        "[1, 2]",
        '["print(1)",]',
        '{"code": ""}',
        '{"code": 5}',
        '{"code": "a = 1"}{"code": "b = 2"}',
        '{"source": "print(1)", "script": "print(2)"}',
        '{"query": "what is it"}',
        '{"query": "What is 6 times 7?"}',
        '{"code": "I multiply',
        '{"a": {"b": [',
        "I multiply 6 by 7.",
        "{" * 3_000,
        "[" * 100_000,
    ],
)
def test_arguments_that_cannot_be_read_are_answered(arguments: str) -> None:
    transcript = turn(with_calls("", [ToolCall(name="python", arguments=arguments)], cut=False), TOOLS)
    assert TOOLS.pending_code(transcript) is None
    assert "could not be read" in str(unreadable_call(transcript))
    call, reply = TOOLS.prompt(transcript).messages[-2:]
    assert call.failed_calls == (ToolCall(name="python", arguments=arguments),) and call.code is None
    assert reply.role is Role.TOOL and "could not be read" in reply.text


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "python", "arguments": {"code": "print(6*7)"}}',
        'I compute.\n```json\n{"name": "python", "arguments": {"code": "print(6*7)"}}\n```',
        '```json\n{\n  "name": "python",\n  "parameters": {\n    "code": "print(6*7)"\n  }\n}\n```\nThen I see.',
        '<tools>\n{"name": "python", "arguments": {"code": "print(6*7)"}}\n</tools>',
        '<|python_tag|>{"name": "python", "parameters": {"code": "print(6*7)"}}',
        "<|python_tag|>print(6*7)<|eom_id|>",
        '<function_call>{"name": "python", "arguments": {"code": "print(6*7)"}}</function_call>',
    ],
)
def test_a_call_that_no_parser_took_out_of_the_text_runs(text: str) -> None:
    assert program(text, TOOLS) == RUN
    assert '"name"' not in TOOLS.prompt(turn(text, TOOLS)).messages[-1].text


def test_json_is_no_call_where_there_is_no_tool() -> None:
    assert program('```json\n{"name": "python", "arguments": {"code": "print(6*7)"}}\n```') is None


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "search", "arguments": {"query": "6*7"}}</tool_call>',
        '<tool_call>{"name": "search", "arguments": "print(6*7)"}</tool_call>',
        '```tool_call\n{"name": "search", "arguments": {"query": "6*7"}}\n```',
        "<tool_call><function=search><parameter=query>6*7</parameter></function></tool_call>",
    ],
)
def test_an_unknown_tool_in_the_text_is_answered_too(text: str) -> None:
    assert unreadable_call(turn(text, TOOLS)) == "unknown tool `search`; there is only python(code)"


def test_an_unknown_tool_is_not_run_and_the_history_keeps_its_name() -> None:
    call = ToolCall(name="search", arguments='{"query": "6*7"}')
    transcript = turn(with_calls("I look it up.", [call], cut=False), TOOLS)
    assert TOOLS.pending_code(transcript) is None and extract_answer(transcript) is None
    assert unreadable_call(transcript) == "unknown tool `search`; there is only python(code)"
    spoken, reply = wire_messages(TOOLS.prompt(transcript))[-2:]
    assert spoken["content"] == "I look it up."
    assert spoken["tool_calls"][0]["function"] == {"name": "search", "arguments": '{"query": "6*7"}'}
    assert reply == {
        "role": "tool",
        "content": "unknown tool `search`; there is only python(code)",
        "tool_call_id": spoken["tool_calls"][0]["id"],
    }


@pytest.mark.parametrize("arguments", ["not JSON", "[1]", '{"code": "I'])
def test_the_arguments_of_the_history_are_json_objects(arguments: str) -> None:
    """Servers parse them for the chat template, and refuse the request otherwise."""
    transcript = turn(with_calls("", [ToolCall(name="python", arguments=arguments)], cut=False), TOOLS)
    spoken = wire_messages(TOOLS.prompt(transcript))[-2]
    assert spoken["tool_calls"][0]["function"]["arguments"].startswith('{"code": ')


def test_every_one_of_several_calls_is_answered_and_those_of_python_run() -> None:
    calls = [
        ToolCall(name="python", arguments='{"code": "x = 6"}'),
        ToolCall(name="search", arguments="{}"),
        ToolCall(name="python", arguments='{"code": "print(x*7)"}'),
        ToolCall(name="python", arguments="{}"),
    ]
    transcript = turn(with_calls("", calls, cut=False), TOOLS)
    assert TOOLS.pending_code(transcript) == "x = 6\n\nprint(x*7)\n"
    execution = Execution(status=ExecutionStatus.OK, stdout="42\n")
    answered = TOOLS.with_output(transcript, execution, max_chars=400)
    spoken, *replies = wire_messages(TOOLS.prompt(answered))[2:]
    assert [call["function"]["name"] for call in spoken["tool_calls"]] == ["search", "python", "python"]
    assert [reply["tool_call_id"] for reply in replies] == [call["id"] for call in spoken["tool_calls"]]
    assert replies[-1]["content"] == "42"


def test_a_call_that_nothing_answered_is_answered_before_the_next_message() -> None:
    transcript = turn(
        with_calls("", [ToolCall(name="python", arguments='{"code": "x()"}')], cut=False), TOOLS
    )
    later = transcript.extended(*TOOLS.parse("```output\n"))
    prompt = TOOLS.prompt(later)
    again = wire_messages(type(prompt)(messages=(*prompt.messages[:3], prompt.messages[1]), tool=True))
    assert [message["role"] for message in again[-3:]] == ["assistant", "tool", "user"]


def test_thoughts_go_back_in_the_field_they_came_in_or_else_in_the_text() -> None:
    transcript = turn("<think>I wonder.</think>\n```python\nprint(6*7)\n```", TOOLS)
    prompt = TOOLS.prompt(transcript)
    assert prompt.messages[-1].reasoning == "I wonder."
    plain, own = (wire_messages(prompt, field)[-1] for field in (None, "reasoning"))
    assert plain["content"] == "<think>\nI wonder.\n</think>\n" and own["content"] == ""
    assert own["reasoning"] == "I wonder." and "reasoning" not in plain
    in_fences = CHAT.prompt(turn("<think>I wonder.</think>\n```python\nprint(6*7)\n```")).messages[-1]
    assert (in_fences.reasoning, in_fences.text) == ("I wonder.", "```python\nprint(6*7)\n```")


def test_a_call_cannot_forge_the_block_of_another() -> None:
    arguments = '{"code": "\n```\n```tool_call\n{\\"name\\": \\"a\\"}\n```\n'
    transcript = turn(with_calls("", [ToolCall(name="x", arguments=arguments)], cut=False), TOOLS)
    assert [s.kind for s in transcript.segments] == [Kind.RATIONALE]
    assert TOOLS.prompt(transcript).messages[-2].failed_calls == (ToolCall(name="x", arguments=arguments),)
