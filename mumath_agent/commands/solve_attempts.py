"""`mumath-agent solve --attempts`: several attempts at one question, from the first row to the exit code."""

from importlib import import_module

import anyio

from mumath_agent.agent.solver import SolverOptions, open_solver
from mumath_agent.commands.attempt_rows import AttemptRows
from mumath_agent.commands.console import remark, show
from mumath_agent.commands.notebooks import Keep
from mumath_agent.commands.terminal import as_line, exit_code, introduce
from mumath_agent.dialects.output import plain
from mumath_agent.records import Problem
from mumath_agent.solutions import Attempts


async def solve_question(
    question: str, how: Attempts, as_json: bool, concurrency: int, keep: Keep, options: SolverOptions
) -> int:
    """Make the attempts, print the answer with its votes, and return the exit code."""
    agent = await anyio.to_thread.run_sync(import_module, "mumath_agent.agent.attempts")
    async with open_solver(options, remark) as solver:
        introduce(solver)
        problem = Problem(id="question", question=question)
        with AttemptRows(how.number) as rows:
            solution = await agent.solve_problem(
                problem, solver, how, concurrency=concurrency, on_event=rows.heard
            )
    show(as_line(solution) if as_json else plain(str(solution)))
    keep(solution)
    return exit_code(solution)
