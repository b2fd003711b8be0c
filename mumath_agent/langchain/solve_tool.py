"""`MuMathTool`: offer a whole attempt at a problem as one LangChain tool.

The agent's model hands over a question; a solver with a model and an isolated kernel of its own reasons, runs programs
and answers (`agent/solver.py`). The agent reads the answer and how it was found; the `RunRecord` is the artefact. If no
answer is found, a sentence says why; that isn't an error. If machinery breaks, a `ToolException` is raised, which
becomes a message with status "error" unless `handle_tool_error` says otherwise.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any, Self, cast

from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.runnables.config import set_config_context
from langchain_core.tools import ToolException
from langchain_core.utils import from_env, secret_from_env
from pydantic import (
    BaseModel,
    Field,
    PrivateAttr,
    SecretStr,
    SkipValidation,
    field_validator,
    model_validator,
)

from mumath_agent.agent.settings import attempts_of, record_of
from mumath_agent.agent.solver import Solver, SolverOptions
from mumath_agent.bridge import on_bridge, run_sync
from mumath_agent.errors import InputError, MuMathError
from mumath_agent.langchain.tool import CallingRuntime, ClosableTool, MaybeRuntime, event_writer
from mumath_agent.models.embedded import CAUTION
from mumath_agent.models.http.wire import api_url, auth_header
from mumath_agent.models.named import named_model
from mumath_agent.problems import check_question
from mumath_agent.records import Limits, Problem, RunRecord, to_json
from mumath_agent.runs.wording import report
from mumath_agent.solutions import Attempts, Solution

_HOW_TO_ASK = (
    "It sees nothing of this conversation: give it the whole problem in one self-contained question that asks for one "
    "answer."
)
DESCRIPTION = (
    "Solve a mathematical problem by reasoning and executed Python, and get its final answer. Use it for whatever has "
    f"to be computed, counted, solved or simplified exactly. {_HOW_TO_ASK}"
)
_WITH_CAUTION = (
    "Try to solve a mathematical problem by reasoning and executed Python. {caution} " + _HOW_TO_ASK
)
"""The description where the model itself says that it may be wrong."""

_OF_THE_SOLVER = frozenset({"base_url", "model", "local", "dialect", "api_key", "limits", "unsafe_local"})


class SolveArguments(BaseModel):
    """The arguments of a call, which the model fills in."""

    question: str = Field(
        description="The whole problem, self-contained, in words and LaTeX, with every number it needs."
    )
    runtime: CallingRuntime = None


class MuMathTool(ClosableTool):
    """A tool that solves problems; see the module. `close` it, or use it as a context manager, to release its model.

    Without `solver` the other settings make one, with the embedded model if `base_url` is missing, too. The solver and
    its model live on the bridge's loop.
    """

    name: str = "solve_math"
    description: str = DESCRIPTION
    args_schema: type[BaseModel] = SolveArguments

    solver: SkipValidation[Solver | None] = None
    """What solves problems, for whatever the settings below can't say."""
    base_url: str | None = Field(default_factory=from_env("MUMATH_BASE_URL", default=None))
    """The address of an OpenAI-compatible server, e.g. vLLM; several, with spaces between them, share the work."""
    model: str | None = Field(default_factory=from_env("MUMATH_MODEL", default=None))
    """The model's name on the server, if it serves several; or ollama/NAME, lmstudio/NAME."""
    local: str | None = Field(default_factory=from_env("MUMATH_LOCAL", default=None))
    """A GGUF model that runs on this machine, in the place of a server."""
    dialect: str | None = Field(default_factory=from_env("MUMATH_DIALECT", default=None))
    """How the model is prompted; without it, as its family is."""
    api_key: SecretStr | None = Field(default_factory=secret_from_env("MUMATH_API_KEY", default=None))
    limits: SkipValidation[Limits] = Limits()
    """What an attempt may use; a dict such as {"max_turns": 6} will do."""
    attempts: SkipValidation[Attempts] = Field(
        default_factory=lambda: attempts_of(os.environ.get("MUMATH_ATTEMPTS") or 1)
    )
    """Attempts at a question, a number or an `Attempts`; of several the most frequent answer is reported."""
    unsafe_local: bool = Field(default_factory=lambda: os.environ.get("MUMATH_UNSAFE_LOCAL") == "1")
    """Run programs with your own rights where this machine can't confine them."""

    _solver: Solver | None = PrivateAttr(default=None)
    _making: asyncio.Lock = PrivateAttr(default_factory=asyncio.Lock)

    async def end(self) -> None:
        """Release the solver's model, if the tool made it."""
        solver, self._solver = self._solver, None
        if solver is not None:
            await solver.model.aclose()

    @field_validator("limits", mode="before")
    @classmethod
    def _limits_of(cls, given: object) -> Limits:
        return record_of(Limits, "limits", given)

    @field_validator("attempts", mode="before")
    @classmethod
    def _attempts_of(cls, given: object) -> Attempts:
        return attempts_of(given)

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        """Refuse settings that can't be used, without asking any server.

        Raises:
            InputError: an address, the key or the dialect can't be one.
        """
        if self.solver is not None and not isinstance(self.solver, Solver):
            raise ValueError(f"solver is {self.solver!r}; it must be a Solver")
        if self.solver is not None and (given := self.model_fields_set & _OF_THE_SOLVER):
            raise ValueError(f"solver is given; set {sorted(given)[0]} in it instead")
        named = named_model(self.model)
        if self.model is not None and not (self.base_url or named) and self.solver is None:
            raise ValueError(f"model {self.model} needs base_url, the address of the server that serves it")
        options = self._options()
        for base_url in options.base_urls:
            api_url(base_url)
            auth_header(options.api_key or "")
        if "description" not in self.model_fields_set and (caution := self._caution()):
            self.description = _WITH_CAUTION.format(caution=caution)
        return self

    def _caution(self) -> str:
        """Return what the model that is going to solve says about itself."""
        if self.solver is not None:
            return getattr(self.solver.model, "caution", "")
        return "" if self.base_url or self.local or named_model(self.model) else CAUTION

    def _run(self, question: str, runtime: MaybeRuntime = None) -> Any:
        return run_sync(self._solve(question, runtime))

    async def _arun(self, question: str, runtime: MaybeRuntime = None) -> Any:
        return await on_bridge(self._solve(question, runtime))

    async def _solve(self, question: str, runtime: MaybeRuntime) -> tuple[str, dict[str, Any]]:
        """Make the attempt. Belongs to the bridge's loop."""
        call_id = runtime.tool_call_id if runtime else None
        problem = Problem(id=call_id or "question", question=question, source="agent")
        # Together they are the transcript; those of several attempts come all mixed.
        write = event_writer(runtime, deltas=("text", "output", "note") if self.attempts.is_one else ())
        try:
            check_question(question)
        except InputError as error:
            raise ToolException(f"This question can't be taken: {error}") from error
        try:
            solver = self.solver or await self._own_solver()
            with set_config_context(_traced_only(ensure_config())) as context:
                record = await asyncio.create_task(self._attempted(solver, problem, write), context=context)
        except MuMathError as error:
            raise ToolException(f"No answer: the solver can't work ({error}).") from error
        broken = record.attempts if isinstance(record, Solution) else [record]
        if broken and all(attempt.trajectory.error for attempt in broken):
            raise ToolException(f"No answer: the solver broke down ({broken[0].trajectory.error}).")
        return report(record), to_json(record)

    async def _attempted(
        self, solver: Solver, problem: Problem, write: Callable[[Mapping[str, Any]], None]
    ) -> RunRecord | Solution:
        if self.attempts.is_one:
            return await solver.solve(problem, on_event=write)
        from mumath_agent.agent.attempts import solve_problem

        return await solve_problem(problem, solver, self.attempts, on_event=write)

    async def _own_solver(self) -> Solver:
        """Return the solver that the settings describe; it is made with the first question."""
        async with self._making:
            if self._solver is None:
                options = self._options()
                self._solver = options.solver(await options.select_model())
            return self._solver

    def _options(self) -> SolverOptions:
        """Return the settings as options; one that was given goes before the other's environment variable."""
        given = self.model_fields_set & {"base_url", "local", "model"}
        named = bool(named_model(self.model)) and (given == {"model"} or not (self.base_url or self.local))
        served = bool(self.base_url) and not named and not (self.local and given - {"model"} == {"local"})
        return SolverOptions(
            base_urls=tuple((self.base_url or "").split()) if served else (),
            model=self.model if served or named else None,
            local=None if served or named else self.local,
            dialect=self.dialect,
            api_key=self.api_key.get_secret_value() if self.api_key else None,
            limits=self.limits,
            unsafe_local=self.unsafe_local,
        )


def _traced_only(config: RunnableConfig) -> RunnableConfig:
    """Return the agent's config without what makes the solver's graph a subgraph of the agent's.

    The attempt is one tool call: its states go into no checkpoint of the agent, whose saver may be synchronous.
    """
    kept = ("callbacks", "tags", "metadata")
    return cast(RunnableConfig, {key: value for key, value in config.items() if key in kept})
