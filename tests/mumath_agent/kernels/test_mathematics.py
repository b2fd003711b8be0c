"""Check that what programs of mathematics use works in a kernel that is confined as far as this machine can.

The programs are in `ordinary_programs.txt`: `### name`, the program, and after `#> ` each line it must print (`...` for
any). A program whose name begins with a library's is skipped where that isn't installed.
"""

import re
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from mumath_agent.kernels import JupyterExecutor
from mumath_agent.records import ExecutionStatus
from tests.mumath_agent.waiting import HANG_S

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

OPTIONAL = ("matplotlib", "networkx", "pandas", "scipy")
DRAW = """
import random, numpy, sympy.core.random, uuid
print(random.random(), numpy.random.rand(), sympy.core.random.random(), uuid.uuid4())
"""


class Program(NamedTuple):
    name: str
    code: str
    printed: list[str]


def programs() -> list[Program]:
    text = Path(__file__).with_name("ordinary_programs.txt").read_text("utf-8")
    found = []
    for block in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        name, *lines = block.strip().split("\n")
        code = [line for line in lines if not line.startswith("#>")]
        printed = [line[3:] for line in lines if line.startswith("#>")]
        found.append(Program(name, "\n".join(code), printed))
    return found


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def session() -> AsyncIterator[JupyterExecutor]:
    async with JupyterExecutor() as executor:
        yield executor


@pytest.mark.parametrize("program", programs(), ids=lambda program: program.name)
async def test_ordinary_programs_work(session: JupyterExecutor, program: Program) -> None:
    need(program.name.split("_")[0])
    execution = await session.run(program.code, timeout_s=HANG_S)
    assert execution.status is ExecutionStatus.OK, execution.error
    assert not execution.state_lost
    if program.printed != ["..."]:
        assert [line.rstrip() for line in execution.stdout.splitlines()] == program.printed


async def test_a_figure_is_shown(session: JupyterExecutor) -> None:
    need("matplotlib")
    plot = "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])\nplt.show()"
    execution = await session.run(plot, timeout_s=HANG_S)
    assert execution.status is ExecutionStatus.OK, execution.error
    assert [figure[:22] for figure in execution.artefacts] == ["data:image/png;base64,"]


async def test_random_numbers_differ_between_kernels() -> None:
    first, second = [(await printed_by_a_new_kernel(DRAW)).split() for _ in range(2)]
    assert all(one != other for one, other in zip(first, second, strict=True))


async def test_sets_print_in_the_same_order_in_every_kernel() -> None:
    first, second = [
        await printed_by_a_new_kernel("print({'one', 'two', 'three', 'four'})") for _ in range(2)
    ]
    assert first == second


async def printed_by_a_new_kernel(code: str) -> str:
    async with JupyterExecutor() as executor:
        execution = await executor.run(code, timeout_s=HANG_S)
    assert execution.status is ExecutionStatus.OK, execution.error
    return execution.stdout


def need(library: str) -> None:
    if library in OPTIONAL and find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
