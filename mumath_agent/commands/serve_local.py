"""`mumath-agent serve --local`: a GGUF model on this machine as an OpenAI-compatible server, until Ctrl-C."""

import time
from collections.abc import Mapping

import anyio

from mumath_agent.commands.console import ANSWERED, remark, show, stderr
from mumath_agent.errors import InputError


def refuse_with_local(given: Mapping[str, object]) -> None:
    """Refuse what only vLLM has a use for.

    Raises:
        InputError: names what was given.
    """
    if named := [name for name, value in given.items() if value]:
        raise InputError(
            f"{', '.join(named)} and --local don't go together: --local runs llama.cpp, not vLLM"
        )


def serve_local(model: str, host: str, port: int, name: str | None, api_key: str | None) -> int:
    """Serve the model; return the exit code once the user has ended it.

    Raises:
        InputError: the model can't be had or used here, or the address is taken.
        ModelError: the engine can't load it, or ended by itself.
        KeyboardInterrupt: it was interrupted before it served.
    """
    serving = anyio.Event()
    try:
        anyio.run(_serve, model, host, port, name, api_key, serving)
    except KeyboardInterrupt:
        if not serving.is_set():
            raise
    return ANSWERED


async def _serve(
    name_or_file: str, host: str, port: int, name: str | None, api_key: str | None, serving: anyio.Event
) -> None:
    from mumath_agent.concurrency import in_thread
    from mumath_agent.models.local import Listening, LocalModel, find_model

    await _require_free(host, port)
    file = await in_thread(lambda: find_model(name_or_file, on_notice=remark))
    model = LocalModel(
        file, chats=False, listening=Listening(host=host, port=port, key=api_key or "", name=name)
    )
    began = time.monotonic()
    try:
        remark(f"loading {file.name}: {model.about}")
        with stderr.status("loading the model"):
            await model.warm_up()
        remark(f"ready after {time.monotonic() - began:.0f} s; it is called {model.name}")
        show(f"{model.url}/v1")
        serving.set()
        await model.serve()
    finally:
        await model.aclose()


async def _require_free(host: str, port: int) -> None:
    try:
        listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
    except OSError as error:
        raise InputError(f"can't listen at {host}:{port}: {error.strerror}; choose another --port") from None
    await listener.aclose()
