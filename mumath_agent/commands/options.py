"""The options of every command that has a solver, declared once.

`@takes_solver_options()` gives a command these options beside its own and hands them over as one `SolverOptions`.
"""

import inspect
import os
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from mumath_agent.agent.solver import SolverOptions
from mumath_agent.models.named import named_model
from mumath_agent.records import Limits, Sampling
from mumath_agent.solutions import TEMPERATURE, Attempts, Select, Weight

Local = Annotated[
    str | None,
    typer.Option(
        envvar="MUMATH_LOCAL",
        metavar="MODEL",
        help="A model that runs on this machine: a GGUF file, a name that `mumath-agent models` lists, "
        "owner/repo[:QUANT] of the hub, or auto for the best that fits.",
    ),
]

Seed = Annotated[int | None, typer.Option(help="Makes sampling repeatable.")]


def _solver_options(
    base_url: Annotated[
        list[str] | None,
        typer.Option(envvar="MUMATH_BASE_URL", help="An OpenAI-compatible server; several share the work."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            envvar="MUMATH_MODEL",
            help="The model's name on the server, if it serves several; ollama/NAME or lmstudio/NAME is one of a "
            "server that runs on this machine.",
        ),
    ] = None,
    local: Local = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="A folder in the embedded engine's format, in the place of the embedded model."),
    ] = None,
    dialect: Annotated[
        str | None,
        typer.Option(
            envvar="MUMATH_DIALECT",
            help="How the model is spoken to: fenced, fenced-qwen, fenced-numina, blocks, chat, chat-examples, "
            "chat-program, tools or words. Without it, as its family is.",
        ),
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    top_p: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Share of probability to sample from.")
    ] = 1.0,
    seed: Seed = None,
    max_turns: Annotated[int, typer.Option(min=1, help="Completions per attempt.")] = Limits().max_turns,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens per completion.")
    ] = Limits().max_new_tokens,
    cell_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds per program.")
    ] = Limits().cell_timeout_s,
    wall: Annotated[float, typer.Option(min=0.1, help="Seconds per attempt.")] = Limits().wall_s,
    max_nudges: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Times a model that would end badly is told so and goes on; without it, chat models once, "
            "others never.",
        ),
    ] = None,
    fresh_cells: Annotated[bool, typer.Option(help="A new Python session for every program.")] = False,
    rebuild_state: Annotated[
        bool, typer.Option(help="Rebuild a lost session by running its programs again, if they do the same.")
    ] = False,
    unsafe_local: Annotated[
        bool,
        typer.Option(
            envvar="MUMATH_UNSAFE_LOCAL",
            help="Run programs even where this machine can't confine them, with your rights.",
        ),
    ] = False,
) -> SolverOptions:
    base_url, model, local = _said_first(base_url, model, local)
    return SolverOptions(
        base_urls=tuple(base_url or ()),
        model=model,
        dialect=dialect,
        local=local,
        weights=weights,
        limits=Limits(
            max_turns=max_turns,
            max_new_tokens=max_new_tokens,
            cell_timeout_s=cell_timeout,
            wall_s=wall,
            max_nudges=max_nudges,
        ),
        sampling=Sampling(temperature=temperature, top_p=top_p, seed=seed if temperature else None),
        fresh_cells=fresh_cells,
        rebuild_state=rebuild_state,
        unsafe_local=unsafe_local,
    )


def _said_first(
    base_url: list[str] | None, model: str | None, local: str | None
) -> tuple[list[str] | None, str | None, str | None]:
    """Return which model is meant: one that is named by an option goes before those of the environment."""
    of_environment = os.environ.get
    is_default_url = (base_url or []) == of_environment("MUMATH_BASE_URL", "").split()
    is_default_local = local == of_environment("MUMATH_LOCAL")
    is_default_model = model == of_environment("MUMATH_MODEL")
    if local and not is_default_local:
        base_url = None if is_default_url else base_url
        model = None if is_default_model else model
    elif named_model(model) and not is_default_model:
        base_url = None if is_default_url else base_url
        local = None if is_default_local else local
    return base_url, model, local


def _attempts(
    attempts: Annotated[
        int,
        typer.Option(
            min=1,
            envvar="MUMATH_ATTEMPTS",
            help="Attempts at a problem, of which the most frequent answer counts; at temperature 0 the first is "
            f"greedy and the others are sampled at {TEMPERATURE}.",
        ),
    ] = 1,
    weight: Annotated[
        Weight,
        typer.Option(
            help="What a vote counts: count is 1; consistent is less where no program printed the answer; "
            "logprob is the tokens' probability, tail that of the last 32, from a server.",
        ),
    ] = Weight.COUNT,
    select: Annotated[
        Select,
        typer.Option(
            help="What chooses where votes are of low confidence: votes alone; choose has a chat model compare "
            "solutions; verify has it check the answers with programs.",
        ),
    ] = Select.VOTES,
    early_stop: Annotated[
        bool, typer.Option(help="Cancel the attempts that can't change the answer any more.")
    ] = True,
    enough: Annotated[
        float | None,
        typer.Option(
            min=0.5,
            max=1.0,
            help="Stop when the other attempts would leave the answer with this probability.",
        ),
    ] = None,
    problem_wall: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds for all attempts at a problem.")
    ] = None,
    run_wall: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds for all problems; those left share the time left.")
    ] = None,
    min_confidence: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Answers below it are marked as of low confidence.")
    ] = Attempts().min_confidence,
    seed: Seed = None,
) -> Attempts:
    return Attempts(
        number=attempts,
        weight=weight,
        select=select,
        early_stop=early_stop,
        enough=enough,
        problem_wall_s=problem_wall,
        run_wall_s=run_wall,
        min_confidence=min_confidence,
        seed=seed or 0,
    )


def takes_solver_options(
    *, attempts: bool = False, without: tuple[str, ...] = (), **defaults: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command whose parameter `options` is a `SolverOptions`.

    Args:
        attempts: the command's parameter `how` is an `Attempts`.
        without: options the command doesn't have.
        defaults: other defaults than the shared ones.
    """
    made_of = {
        "options": _options_of(_solver_options),
        **({"how": _options_of(_attempts)} if attempts else {}),
    }
    shared = {
        name: option.replace(default=defaults.get(name, option.default), kind=option.KEYWORD_ONLY)
        for declared in made_of.values()
        for name, option in declared.items()
        if name not in without
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters
        parameters = [p.replace(kind=p.KEYWORD_ONLY) for name, p in own.items() if name not in made_of]

        @wraps(command)
        def with_options(**values: Any) -> None:
            given = {name: values.pop(name) for name in shared}
            made = {"options": _made(_solver_options, given)}
            if attempts:
                made["how"] = _made(_attempts, given)
            command(**values, **made)

        signature = inspect.Signature([*parameters, *shared.values()])
        with_options.__dict__["__signature__"] = signature
        with_options.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        del with_options.__dict__["__wrapped__"]  # typer would look at the undecorated function
        return with_options

    return decorate


def _options_of(declaring: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(declaring, eval_str=True).parameters


def _made(declaring: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    return declaring(**{name: given[name] for name in _options_of(declaring) if name in given})
