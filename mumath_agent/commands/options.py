"""The options of every command that has a solver, declared once.

`@takes_solver_options()` gives a command these options beside its own and hands them over as one `SolverOptions`.
"""

import inspect
import os
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from mumath_agent.agent.solver import SolverOptions
from mumath_agent.models.named import named_model
from mumath_agent.records import Limits, Sampling

Local = Annotated[
    str | None,
    typer.Option(
        envvar="MUMATH_LOCAL",
        metavar="MODEL",
        help="A model that runs on this machine: a GGUF file, a name that `mumath-agent models` lists, "
        "owner/repo[:QUANT] of the hub, or auto for the best that fits.",
    ),
]


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
    seed: Annotated[int | None, typer.Option(help="Makes sampling repeatable.")] = None,
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


def takes_solver_options(
    *, without: tuple[str, ...] = (), **defaults: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command whose parameter `options` is a `SolverOptions`.

    Args:
        without: options the command doesn't have.
        defaults: other defaults than the shared ones.
    """
    declared = inspect.signature(_solver_options, eval_str=True).parameters
    shared = {
        name: parameter.replace(default=defaults.get(name, parameter.default), kind=parameter.KEYWORD_ONLY)
        for name, parameter in declared.items()
        if name not in without
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters
        parameters = [p.replace(kind=p.KEYWORD_ONLY) for name, p in own.items() if name != "options"]

        @wraps(command)
        def with_options(**values: Any) -> None:
            options = _solver_options(**{name: values.pop(name) for name in shared})
            command(**values, options=options)

        signature = inspect.Signature([*parameters, *shared.values()])
        with_options.__dict__["__signature__"] = signature
        with_options.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        del with_options.__dict__["__wrapped__"]  # typer would look at the undecorated function
        return with_options

    return decorate
