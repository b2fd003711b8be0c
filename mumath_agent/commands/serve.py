"""`mumath-agent serve`: a vLLM server with settings that fit, until it is told to stop; also for `solve --serve`."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.status import Status
from rich.text import Text

from mumath_agent.commands.console import ANSWERED, interruptible, remark, stderr, tell
from mumath_agent.errors import InputError

if TYPE_CHECKING:
    from mumath_agent.serving import Launch, ServeOptions, Server

_QUIET_S = 5.0
"""Where nobody watches a terminal, progress is told this often at most."""

VllmPython = Annotated[
    Path | None,
    typer.Option(
        envvar="MUMATH_VLLM_PYTHON",
        help="Python of the environment with vLLM. [this one, or the one of `vllm` on the PATH]",
    ),
]


def serve(
    model: Annotated[str, typer.Argument(help="A folder, or an id on the hub.")],
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- FLAGS]", help="After --: more flags for vLLM; they win."),
    ] = None,
    host: Annotated[str, typer.Option(help="0.0.0.0 to be reached from other machines.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    name: Annotated[
        str | None, typer.Option(help="What to serve it as. [its id, or its folder's name]")
    ] = None,
    lora: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FOLDER", help="A LoRA adapter; may be repeated.")
    ] = None,
    tensor_parallel: Annotated[
        int | None, typer.Option(min=1, help="GPUs that share one copy. [as few as hold it]")
    ] = None,
    data_parallel: Annotated[
        int | None, typer.Option(min=1, help="Copies. [as many as the visible GPUs allow]")
    ] = None,
    max_model_len: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens of prompt and completion. [what the family was tuned for]"),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="[bfloat16; float16 on GPUs before Ampere; float32 on a CPU]")
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="MUMATH_API_KEY", help="What clients must know; better in the variable."),
    ] = None,
    vllm_python: VllmPython = None,
    log: Annotated[Path | None, typer.Option(help="Where vLLM's own words go. [a temporary file]")] = None,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the command and its environment; start nothing.")
    ] = False,
) -> None:
    """Serve a model with vLLM, with settings that fit it and this machine, until Ctrl-C.

    What is known to go wrong silently is checked first: the rope base, the context, memory, adapters. The address is
    printed to stdout once the server answers.
    """
    from mumath_agent.serving import ServeOptions

    options = ServeOptions(
        model=model,
        name=name,
        host=host,
        port=port,
        context_tokens=max_model_len,
        dtype=dtype,
        tensor_parallel=tensor_parallel,
        data_parallel=data_parallel,
        loras=dict(_adapter(text) for text in lora or ()),
        api_key=api_key,
        flags=tuple(flags or ()),
    )
    launch = _launch(options, vllm_python)
    if only_print:
        print(launch)
        return

    def run() -> int:
        with _started(launch, log) as server:
            print(f"{server.url}/v1", flush=True)
            try:
                server.wait()
            except KeyboardInterrupt:  # how a server is meant to end
                remark("stopping; what it is answering is finished first, Ctrl-C again ends it at once")
        return ANSWERED

    raise typer.Exit(interruptible(run))


@contextmanager
def served_for_a_run(model: str, python: Path | None) -> Iterator[str]:
    """The model's address for as long as the block runs, on a free port."""
    from mumath_agent.serving import ServeOptions, free_port

    options = ServeOptions(model=model, port=free_port(), api_key=os.environ.get("MUMATH_API_KEY"))
    with _started(_launch(options, python), None) as server:
        yield server.url


def _launch(options: "ServeOptions", python: Path | None) -> "Launch":
    """Says what the checks found, then what will run."""
    from mumath_agent.serving import build_command, visible_gpus, vllm_python
    from mumath_agent.serving.checks import Level

    launch = build_command(options, vllm_python(python), visible_gpus())
    for finding in launch.findings:
        tell(f"{finding.about}: {finding.said}", style="dim" if finding.level is Level.OK else "yellow")
    return launch


@contextmanager
def _started(launch: "Launch", log: Path | None) -> Iterator["Server"]:
    from mumath_agent.serving import running

    log = log or Path(tempfile.mkdtemp(prefix="mumath-vllm-")) / "vllm.log"
    remark(f"starting vLLM; what it says is in {log}")
    began = time.monotonic()
    with (
        stderr.status("starting vLLM") as status,
        running(launch, log=log, on_progress=_progress(status)) as server,
    ):
        status.stop()
        remark(f"ready after {time.monotonic() - began:.0f} s")
        yield server


def _progress(status: Status) -> Callable[[str], None]:
    """On a terminal a line that changes, else a line now and then."""
    if stderr.is_terminal:
        return lambda doing: status.update(Text(doing, overflow="ellipsis", no_wrap=True))
    last = 0.0

    def tell_of(doing: str) -> None:
        nonlocal last
        if time.monotonic() - last > _QUIET_S:
            last = time.monotonic()
            remark(f"vLLM: {doing}")

    return tell_of


def _adapter(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise InputError(f"--lora {text} is not of the form NAME=FOLDER")
    return name, Path(folder).expanduser()
