"""The environment that tool-calling models learn in, used as TRL 1.16 uses one; TRL itself isn't here.

The slow test makes 1,000 resets and 10,000 cells.
"""

import gc
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from mumath_agent.environment import PythonEnvironment, boxed_reward
from mumath_agent.errors import InputError
from mumath_agent.records import Limits
from tests.waiting import HANG_S, comes_true

WITHOUT = Path(__file__).parent / "kernels" / "without.py"
SAID = "So \\boxed{7}."
CALL = {"role": "assistant", "content": SAID, "tool_calls": [{"function": {"name": "python"}}]}


class Held(NamedTuple):
    """What this process holds."""

    processes: int
    """Those below it: the fork server's and the kernels'."""
    descriptors: int


def held() -> Held:
    this = psutil.Process()
    return Held(len(this.children(recursive=True)), this.num_fds())


@pytest.fixture
def environment() -> Iterator[PythonEnvironment]:
    environment = PythonEnvironment()
    yield environment
    environment.close()


@pytest.fixture(scope="module")
def a_kernel() -> tuple[Held, int]:
    """What is held while there is no kernel, and how many processes one is."""
    environment = PythonEnvironment()
    environment.python("1")
    with_one = held().processes
    environment.close()
    return held(), with_one - held().processes


def test_python_is_the_only_tool_and_says_what_it_takes() -> None:
    """TRL gives the model every public function of the class, and reads its signature and docstring."""
    functions = inspect.getmembers(PythonEnvironment, predicate=inspect.isfunction)
    tools = [
        name for name, _ in functions if name not in ("reset", "get_reward") and not name.startswith("_")
    ]
    assert tools == ["python"]
    methods = inspect.getmembers(PythonEnvironment(), predicate=inspect.ismethod)
    assert {name for name, _ in methods if not name.startswith("_")} == {"get_reward", "python", "reset"}
    assert list(inspect.signature(PythonEnvironment().python).parameters) == ["code"]
    assert "Args:\n" in str(PythonEnvironment.python.__doc__)
    assert not any(map(inspect.iscoroutinefunction, dict(functions).values()))


@pytest.mark.train
def test_transformers_reads_the_tool_as_trl_has_it_read() -> None:
    schema = pytest.importorskip("transformers.utils").get_json_schema(PythonEnvironment().python)["function"]
    assert schema["name"] == "python" and "last from one call to the next" in schema["description"]
    assert schema["parameters"]["required"] == ["code"]
    assert schema["parameters"]["properties"]["code"]["type"] == "string"


@pytest.mark.kernel
def test_a_session_lasts_until_the_next_reset(environment: PythonEnvironment) -> None:
    environment.reset(prompt="How many?", answer="7")
    assert environment.python("x = 7") == "Done"
    assert environment.python("```python\nprint(x)\n```") == "7"
    environment.reset(prompt="How many?", answer="8")
    assert "NameError" in environment.python("x")
    environment.close()
    environment.close()
    assert environment.python("1 + 1") == "2"  # it can be used again


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("while True: pass", "TimeoutError: the program ran longer than 0.5 s"),
        ("import os; os._exit(3)", "The Python process died"),
        ("print('<|im_end|>\\x1b[2J')", "< |im_end|>[2J"),  # no mark of a chat, nothing for a terminal
        ("print('x' * 9000)", "characters left out"),
    ],
)
def test_what_a_program_does_wrong_is_text(code: str, said: str) -> None:
    environment = PythonEnvironment(limits=Limits(cell_timeout_s=0.5))
    assert said in environment.python(code)
    environment.close()


@pytest.mark.parametrize("code", [None, 7, ["print(1)"]])
def test_code_that_is_no_text_is_refused(environment: PythonEnvironment, code: Any) -> None:
    with pytest.raises(InputError, match="it must be a text"):  # TRL tells the model
        environment.python(code)


def messages(*said: object) -> list[dict[str, object]]:
    tool: dict[str, object] = {"role": "tool", "name": "python", "content": "\\boxed{7}"}
    return [{**CALL, "content": ""}, tool, *({"role": "assistant", "content": each} for each in said)]


@pytest.mark.worker
@pytest.mark.parametrize(
    ("row", "completion", "reward"),
    [
        ({"answer": "7"}, SAID, 1.0),
        ({"target": "7"}, messages(SAID), 1.0),
        ({"solution": "It is \\boxed{7}."}, messages("", SAID), 1.0),
        ({"answer": "Three and four.\n#### 7"}, messages([{"type": "text", "text": SAID}]), 1.0),
        ({"answer": "7"}, messages("So \\boxed{\\sqrt{49}}"), 1.0),
        ({"answer": "8"}, messages(SAID), 0.0),
        ({"answer": "7"}, messages("So 7. The answer is 7"), 0.0),  # without a box
        ({"answer": "7"}, messages("\\boxed{7} or \\boxed{8}"), 0.0),  # a hedge
        ({"answer": "7"}, messages(f"```\n{SAID}\n```"), 0.0),  # in a program
        ({"answer": "7"}, messages(f"<think>{SAID}</think> Done."), 0.0),
        ({"answer": "7"}, messages(None), 0.0),
        ({"answer": "7"}, messages(), 0.0),  # only printed
        ({"answer": "7"}, [CALL], 0.0),  # it wanted to go on
        ({"answer": "7"}, [], 0.0),
        ({"answer": "{unclosed"}, SAID, None),  # nobody can tell
        ({}, SAID, None),
        ({"answer": "7"}, None, None),
    ],
)
def test_the_reward_is_that_of_the_boxed_answer(
    environment: PythonEnvironment, row: dict[str, str], completion: Any, reward: float | None
) -> None:
    environment.reset(prompt=[{"role": "user", "content": "How many?"}], **row)
    assert environment.get_reward(completion) == reward
    if completion is not None:
        assert boxed_reward(prompts=[""], completions=[completion], environments=[environment]) == [reward]


def test_a_gold_answer_that_is_no_text_is_refused(environment: PythonEnvironment) -> None:
    with pytest.raises(InputError, match="write it as one text"):
        environment.reset(answer=["1", "2"])


@pytest.mark.kernel
@pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")
def test_without_a_kernel_there_is_no_reward() -> None:
    program = (
        "from mumath_agent.environment import PythonEnvironment\n"
        "from mumath_agent.errors import KernelError\n"
        "environment = PythonEnvironment()\n"
        "environment.reset(answer='7')\n"
        "try: environment.python('print(7)')\n"
        "except KernelError: print('refused')\n"
        f"print(environment.get_reward({SAID!r}))\n"
        "environment.reset(answer='7')\n"
        f"print(environment.get_reward({SAID!r}))\n"
    )
    command = [sys.executable, str(WITHOUT), "seccomp", str(os.getuid()), sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S)
    assert (done.stdout.split(), done.stderr) == (["refused", "None", "1.0"], "")


@pytest.mark.kernel
def test_a_hundred_resets_leave_no_kernel(a_kernel: tuple[Held, int]) -> None:
    attempt_and_look(a_kernel, resets=100, cells=1, instances=4)


@pytest.mark.kernel
@pytest.mark.slow
def test_a_thousand_resets_and_ten_thousand_cells_leave_nothing(a_kernel: tuple[Held, int]) -> None:
    attempt_and_look(a_kernel, resets=1000, cells=10, instances=8)


def attempt_and_look(a_kernel: tuple[Held, int], *, resets: int, cells: int, instances: int) -> None:
    """Make attempts as TRL does, in a few instances that it never closes."""
    without, processes = a_kernel
    environments = [PythonEnvironment() for _ in range(instances)]
    for number in range(resets):
        environment = environments[number % instances]
        environment.reset(prompt="", answer="7")
        for cell in range(cells):
            assert environment.python(f"print({number} + {cell})") == str(number + cell)
        assert held().processes <= without.processes + instances * processes
    del environments, environment
    gc.collect()
    assert comes_true(lambda: held().processes <= without.processes)
    assert comes_true(lambda: held().descriptors <= without.descriptors)


@pytest.mark.kernel
def test_calls_at_the_same_time_have_one_kernel(
    a_kernel: tuple[Held, int], environment: PythonEnvironment
) -> None:
    threads = [threading.Thread(target=environment.python, args=("x = 1",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_S)
    assert held().processes <= a_kernel[0].processes + a_kernel[1]


@pytest.mark.kernel
def test_a_process_that_closes_nothing_leaves_nothing() -> None:
    program = (
        "import psutil\nfrom mumath_agent.environment import PythonEnvironment\n"
        "all = [PythonEnvironment() for _ in range(2)]\n"
        "for each in all: each.python('x = 1')\n"
        "print(*(child.pid for child in psutil.Process().children(recursive=True)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG_S)
    assert (done.returncode, done.stderr) == (0, "")
    left = [int(pid) for pid in done.stdout.split()]
    assert len(left) >= 2 and comes_true(lambda: not any(map(psutil.pid_exists, left)))
