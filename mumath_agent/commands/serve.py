"""Run `mumath-agent serve`, a vLLM server that runs until it is told to stop; also for `solve --serve`."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.status import Status as Spinner
from rich.text import Text

from mumath_agent.commands.console import ANSWERED, interruptible, remark, show, stderr, tell
from mumath_agent.commands.serve_local import refuse_with_local, serve_local
from mumath_agent.errors import InputError

if TYPE_CHECKING:
    from mumath_agent.serving import ServeOptions, ServerCommand, VllmServer

_QUIET_S = 5.0
"""The shortest time between two lines of progress where stderr isn't a terminal."""

VllmPython = Annotated[
    Path | None,
    typer.Option(
        envvar="MUMATH_VLLM_PYTHON",
        help="The python that has vLLM. [this one, or that of `vllm` on the PATH]",
    ),
]


def serve(
    model: Annotated[str | None, typer.Argument(help="A folder, or a model's id on the hub.")] = None,
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- FLAGS", help="After --: more flags for vLLM; they override ours."),
    ] = None,
    local: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Instead of vLLM: a GGUF model with llama.cpp, named as for `solve --local`; of the options below it "
            "takes --host, --port, --name and --api-key.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="0.0.0.0 makes it reachable from other machines.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    name: Annotated[
        str | None, typer.Option(help="The name to serve it by. [its id, or its folder's name]")
    ] = None,
    lora: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FOLDER", help="A LoRA adapter; may be repeated.")
    ] = None,
    tensor_parallel: Annotated[
        int | None, typer.Option(min=1, help="GPUs per copy of the model. [as few as hold it]")
    ] = None,
    data_parallel: Annotated[
        int | None, typer.Option(min=1, help="Copies of the model. [as many as the visible GPUs allow]")
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
        typer.Option(envvar="MUMATH_API_KEY", help="The key that clients must send; safer in the variable."),
    ] = None,
    vllm_python: VllmPython = None,
    log: Annotated[Path | None, typer.Option(help="File for vLLM's own output. [a temporary file]")] = None,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the command and its environment, and start nothing.")
    ] = False,
) -> None:
    """Serve a model with vLLM, with settings that fit it and this machine, until Ctrl-C.

    First checks what is known to go wrong silently: the rope base, the context, memory, adapters. Prints the address
    to stdout once the server answers. Without vLLM and without a GPU, --local serves a GGUF model.

    Examples:
        mumath-agent serve weihao1/MuMath-Code-CL-7B --vllm-python .venv-vllm/bin/python
        mumath-agent serve models/mine --print
        mumath-agent serve --local qwen2.5-coder-1.5b
    """
    if local is not None:
        refuse_with_local(
            {
                "MODEL": model,
                "-- FLAGS": flags,
                "--lora": lora,
                "--tensor-parallel": tensor_parallel,
                "--data-parallel": data_parallel,
                "--max-model-len": max_model_len,
                "--dtype": dtype,
                "--log": log,
                "--print": only_print,
            }
        )
        raise typer.Exit(interruptible(partial(serve_local, local, host, port, name, api_key)))
    if model is None:
        raise InputError("name the model to serve: a folder, an id on the hub, or a GGUF model with --local")
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
    if only_print:
        show(str(_command(options, _printed_python(vllm_python))))
        return
    command = _command(options, _interpreter(vllm_python))

    def run() -> int:
        with _started(command, log) as server:
            show(f"{server.url}/v1")
            try:
                server.wait()
            except KeyboardInterrupt:  # the normal end of a server
                remark("stopping after the requests it is answering; press Ctrl-C again to end it at once")
        return ANSWERED

    raise typer.Exit(interruptible(run))


@contextmanager
def served_for_a_run(model: str, python: Path | None) -> Iterator[str]:
    """Serve the model on a free port for as long as the block runs; yield its address."""
    from mumath_agent.serving import ServeOptions, free_port

    options = ServeOptions(model=model, port=free_port(), api_key=os.environ.get("MUMATH_API_KEY"))
    with _started(_command(options, _interpreter(python)), None) as server:
        yield server.url


def _interpreter(given: Path | None) -> Path:
    from mumath_agent.serving import vllm_python

    return vllm_python(given)


def _printed_python(given: Path | None) -> Path:
    """Return the interpreter for a command that is only printed, and may be for another machine."""
    with suppress(InputError):
        return given or _interpreter(None)
    remark("vLLM isn't installed here; put the python that has it in the place of `python`")
    return Path("python")


def _command(options: "ServeOptions", python: Path) -> "ServerCommand":
    """Return the command after telling the user what the checks found."""
    from mumath_agent.serving import build_command, visible_gpus
    from mumath_agent.serving.finding import Status

    command = build_command(options, python, visible_gpus())
    for finding in command.findings:
        tell(f"{finding.name}: {finding.detail}", style="dim" if finding.status is Status.OK else "yellow")
    return command


@contextmanager
def _started(command: "ServerCommand", log: Path | None) -> Iterator["VllmServer"]:
    from mumath_agent.serving import running

    log = log or Path(tempfile.mkdtemp(prefix="mumath-vllm-")) / "vllm.log"
    remark(f"starting vLLM; its output goes to {log}")
    began = time.monotonic()
    with (
        stderr.status("starting vLLM") as spinner,
        running(command, log=log, on_progress=_progress(spinner)) as server,
    ):
        spinner.stop()
        remark(f"ready after {time.monotonic() - began:.0f} s")
        yield server


def _progress(spinner: Spinner) -> Callable[[str], None]:
    """Show progress beside the spinner on a terminal, and as a line now and then elsewhere."""
    if stderr.is_terminal:
        return lambda doing: spinner.update(Text(doing, overflow="ellipsis", no_wrap=True))
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
        raise InputError(f"--lora {text} isn't of the form NAME=FOLDER")
    return name, Path(folder).expanduser()
