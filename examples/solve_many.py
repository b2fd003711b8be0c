"""Solve several questions side by side, with a server or with the embedded model.

    python examples/solve_many.py "What is 17 times 23?" "What is 3 + 4?"

MUMATH_BASE_URL is the address of an OpenAI-compatible server and MUMATH_API_KEY its key, if it wants one. Without an
address the embedded model answers, which is small.
"""

import sys

import anyio

from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.settings import options_from_environment
from mumath_agent.agent.solver import open_solver
from mumath_agent.records import Problem, RunRecord
from mumath_agent.runs.wording import answer_line


async def main(questions: list[str]) -> None:
    """Print one line for each question, as its attempt ends."""
    problems = tuple(Problem(id=str(number), question=text) for number, text in enumerate(questions, start=1))
    async with open_solver(options_from_environment()) as solver:
        await run_batch(Batch(problems=problems, solver=solver), concurrency=8, on_record=show)


def show(record: RunRecord) -> None:
    """Print the question's number and its answer, or why there is none."""
    print(f"{record.problem.id}. {answer_line(record.trajectory)}")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1:])
