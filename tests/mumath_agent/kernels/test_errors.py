"""Check the error of a program that goes wrong: two lines, where and what."""

import pytest
from outside import run

from mumath_agent.kernels import JupyterExecutor
from mumath_agent.records import ExecutionStatus

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

ERRORS = [
    ("x = 0\ny = 1 / x\nprint(y)", "line 2: y = 1 / x\nZeroDivisionError: division by zero"),
    ("\n\n1 / 0", "line 3: 1 / 0\nZeroDivisionError: division by zero"),
    ("def f(n):\n    return 1 / n\nf(0)", "line 2: return 1 / n\nZeroDivisionError: division by zero"),
    ("import json\njson.loads('[')", "line 2: json.loads('[')\njson.decoder.JSONDecodeError: "),
    ("a = 1\nb = (2,\nc = 3", "line 2: b = (2,\nSyntaxError: '(' was never closed"),
    ("a = 1\neval('1 +')", "line 2: eval('1 +')\nSyntaxError: invalid syntax"),
    ("if True:\nx = 1", "line 2: x = 1\nIndentationError: "),
    (
        "def f(n):\n    return f(n)\nf(1)",
        "line 2: return f(n)\nRecursionError: maximum recursion depth exceeded",
    ),
    ("class Odd(Exception):\n    def __str__(self):\n        1 / 0\nraise Odd", "line 4: raise Odd\nOdd: "),
    ("class A:\n    def __repr__(self):\n        1 / 0\nA()", "line 3: 1 / 0\nZeroDivisionError: "),
    ("raise ValueError('\\ud800')", "line 1: raise ValueError('\\ud800')\nValueError: \\ud800"),
    (
        "raise ExceptionGroup('two', [ValueError()])",
        "line 1: raise ExceptionGroup('two', [ValueError()])\nExceptionGroup: ",
    ),
    ("The answer is 7", "line 1: The answer is 7\nSyntaxError: invalid syntax"),
    ("time", "line 1: time\nNameError: name 'time' is not defined"),
    ("import sys\nsys.exit('no root')", "line 2: sys.exit('no root')\nSystemExit: no root"),
    ("a = input('? ')", "line 1: a = input('? ')\nEOFError: this program can't ask for input"),
    ("raise ValueError('x' * 10**7)", "line 1: raise ValueError('x' * 10**7)\nValueError: xxx"),
    ("'\0'", "SyntaxError: source code string cannot contain null bytes"),
]


@pytest.mark.parametrize(("code", "error"), ERRORS)
async def test_an_error_is_the_failing_line_and_the_exception(
    session: JupyterExecutor, code: str, error: str
) -> None:
    await run(session, "globals().pop('time', None)")
    execution = await run(session, code)
    assert execution.status is ExecutionStatus.ERROR
    assert execution.error is not None
    assert execution.error.startswith(error)
    assert len(execution.error) < 20_000
    assert "\x1b" not in execution.error
    assert not execution.state_lost


async def test_an_error_in_an_older_function_is_told_by_the_line_that_called_it(
    session: JupyterExecutor,
) -> None:
    await run(session, "def inverse(n):\n    return 1 / n")
    execution = await run(session, "a = 0\nb = inverse(a)")
    assert execution.error == "line 2: b = inverse(a)\nZeroDivisionError: division by zero"


async def test_what_was_printed_before_an_error_is_kept(session: JupyterExecutor) -> None:
    execution = await run(session, "print('partial 7')\n1/0")
    assert (execution.status, execution.stdout) == (ExecutionStatus.ERROR, "partial 7\n")


async def test_a_string_that_only_looks_dangerous_is_printed(session: JupyterExecutor) -> None:
    assert (await run(session, "print('call input(5)')")).stdout == "call input(5)\n"


MEMORY_HOGS = [
    "'a' * 10**11",
    "hoard = []\nwhile True:\n    hoard.append('x' * 10**6)",
    "def hog():\n    hoard = []\n    while True:\n        hoard.append(bytearray(10**5))\nhog()",
    "import numpy\nnumpy.ones(10**10)",
]


@pytest.mark.parametrize("code", MEMORY_HOGS)
async def test_too_much_memory_is_an_error_the_session_survives(session: JupyterExecutor, code: str) -> None:
    execution = await run(session, code)
    assert execution.status is ExecutionStatus.MEMORY
    assert execution.error is not None
    assert execution.error.startswith(f"line {len(code.splitlines()) - ('def' in code)}: ")
    assert "MemoryError" in execution.error
    assert not execution.state_lost
    await run(session, "hoard = None")
    assert (await run(session, "len(bytes(10**8))")).result == "100000000"
