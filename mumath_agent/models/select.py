"""Select the dialect and the client for a server's model, on behalf of commands.

    addresses, name?, dialect? ─▶ what is served? ─▶ family ─▶ dialect ─▶ client

The server is asked only for what wasn't given. If its model's files are on this machine, their config.json is read.
Without an address, the name may say which running server is meant: ollama/NAME, lmstudio/NAME.
"""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from mumath_agent.concurrency import in_thread
from mumath_agent.dialects import Blocks, Chat, Fenced, get_dialect, request_fields
from mumath_agent.dialects.families import Family, family_of
from mumath_agent.errors import InputError, ModelUnreachable
from mumath_agent.models.blockwise import Blockwise
from mumath_agent.models.embedded import DEFAULT, EmbeddedModel
from mumath_agent.models.http.chat_completions import ChatCompletionsModel
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.models.http.ollama import OllamaModel
from mumath_agent.models.http.wire import API_KEY, SEE_LOG
from mumath_agent.models.named import named_model
from mumath_agent.models.replicas import ReplicatedModel, completions_model_at
from mumath_agent.protocols import CompletionModel, Dialect

_BEGUN = "chat-program"
"""For chat models on this machine: they write programs more surely, and llama.cpp can continue a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedModel:
    """A model, and the dialect and family it was selected for."""

    model: CompletionModel
    dialect: Dialect
    family: Family


async def selected_model(
    *,
    base_urls: Sequence[str],
    model: str | None,
    dialect: str | None,
    api_key: str | None,
    weights: Path | None,
    local: str | None,
    within_s: float,
    on_notice: Callable[[str], None] = lambda _: None,
) -> SelectedModel:
    """Return the model that the options name: on servers, on this machine, or the embedded one.

    Raises:
        InputError: the options contradict each other, or one can't be used.
        ModelUnreachable, ModelRefused: the server doesn't tell what it serves.
    """
    at = None if base_urls else named_model(model)
    named = {"--base-url": " ".join(base_urls), "--local": local, "--weights": weights}
    named |= {"--model": model} if at else {}
    given = [f"{option} {value}" for option, value in named.items() if value]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} name different models; leave out all but one")
    if at and at.is_ollama:
        return await ollama_model(at.url, at.name, dialect, within_s)
    if at:
        try:
            return await model_at([at.url], at.name, dialect, api_key, within_s)
        except ModelUnreachable as error:
            raise ModelUnreachable(f"{error}; `lms server start` starts LM Studio's") from None
    if model is not None and not base_urls:
        raise InputError(
            f"--model {model} needs --base-url, the address of the server that serves it; "
            "only ollama/NAME and lmstudio/NAME go without"
        )
    if base_urls:
        return await model_at(base_urls, model, dialect, api_key, within_s)
    if local:
        return await in_thread(lambda: local_model(local, dialect, on_notice))
    return embedded_model(weights, dialect)


async def model_at(
    base_urls: Sequence[str],
    name: str | None,
    dialect: str | None = None,
    api_key: str | None = None,
    within_s: float = math.inf,
) -> SelectedModel:
    """Return the model that these servers serve, warmed up, with the dialect of that name or else its family's.

    Args:
        base_urls: the servers' addresses.
        name: the model's name; None asks the servers, which must then serve exactly one.
        dialect: a dialect's name.
        api_key: the servers' key; by default the environment's.
        within_s: the longest time for all this.

    Raises:
        InputError: no address is given, one can't be used, or the dialect is unknown.
        ModelUnreachable, ModelRefused: the server doesn't say what it serves, or not in time.
    """
    if not base_urls:
        raise InputError("no server address is given")
    requested = get_dialect(dialect) if dialect is not None else None
    key = api_key or os.environ.get(API_KEY)
    with _in_time(within_s, base_urls):
        if name and isinstance(requested, Chat):  # nothing to ask for
            served, entry = name, dict[str, Any]()
        else:
            served, entry = await _served(base_urls[0], name, key)
        family = _family(served, str(entry.get("root") or served))
        selected = requested or get_dialect(family.dialect)
        if not isinstance(selected, Chat) and _is_ollamas(served, entry):
            raise InputError(
                f"{base_urls[0]} is Ollama, which puts raw prompts into the model's template; "
                f"leave out --base-url and say --model ollama/{served} (OLLAMA_HOST says where), or --dialect chat"
            )
        model = _client(base_urls, name, served, selected, key)
        try:
            await model.warm_up()
        except BaseException:
            await model.aclose()
            raise
    return SelectedModel(model=model, dialect=selected, family=family)


async def ollama_model(
    url: str, name: str, dialect: str | None = None, within_s: float = math.inf
) -> SelectedModel:
    """Return the model of a running Ollama, warmed up, with the dialect of that name or else its family's.

    Raises:
        InputError: the address or the dialect can't be used, or Ollama doesn't have the model.
        ModelUnreachable, ModelRefused: Ollama doesn't answer, or not in time.
    """
    family = family_of(name)
    selected = get_dialect(dialect or family.dialect)
    if isinstance(selected, Blocks):
        raise InputError(
            f"the dialect {selected.name} needs special tokens in the text, and Ollama leaves them out; "
            "serve the model with vLLM, or choose another --dialect"
        )
    model = OllamaModel(url, name)
    with _in_time(within_s, [url]):
        try:
            await model.warm_up()
        except BaseException:
            await model.aclose()
            raise
    return SelectedModel(model=model, dialect=selected, family=family)


def embedded_model(weights: Path | None = None, dialect: str | None = None) -> SelectedModel:
    """Return the embedded model, or the one in the folder `weights`, with the dialect of that name or its family's.

    Of a family that chats, or none that is known, the dialect is fenced, since the engine only continues text.

    Raises:
        InputError: the dialect is unknown, or it is for models that chat.
    """
    folder = weights or DEFAULT
    family = _family(folder.name, str(folder))
    selected = get_dialect(dialect or family.dialect)
    if isinstance(selected, Chat) and dialect is None:
        selected = Fenced()
    if isinstance(selected, Chat):
        raise InputError(
            f"--dialect {selected.name} is for models that chat, and the embedded one only continues text; "
            "name a server with --base-url, or leave out --dialect"
        )
    return SelectedModel(model=EmbeddedModel(folder), dialect=selected, family=family)


def local_model(
    name: str, dialect: str | None = None, on_notice: Callable[[str], None] = lambda _: None
) -> SelectedModel:
    """Return the GGUF model of that name (`local.find_model`), with the dialect of that name or its family's.

    Raises:
        InputError: there is no such model, it can't be used here, or the dialect is unknown.
    """
    from mumath_agent.models.local import LocalModel, find_model

    file = find_model(name, on_notice=on_notice)
    family = family_of(file.stem)
    selected = get_dialect(dialect or (family.dialect if family.is_known else _BEGUN))
    model = LocalModel(file, chats=isinstance(selected, Chat), extra_body=request_fields(selected))
    return SelectedModel(
        model=Blockwise(model) if isinstance(selected, Blocks) else model, dialect=selected, family=family
    )


def _client(
    base_urls: Sequence[str], name: str | None, served: str, dialect: Dialect, key: str | None
) -> CompletionModel:
    """Return the client for the kind of prompt that the dialect writes."""
    if isinstance(dialect, Chat):
        clients = [ChatCompletionsModel(url, served, key) for url in base_urls]
        return clients[0] if len(clients) == 1 else ReplicatedModel(clients)
    model = completions_model_at(base_urls, name, api_key=key, extra_body=request_fields(dialect))
    return Blockwise(model) if isinstance(dialect, Blocks) else model


@contextmanager
def _in_time(within_s: float, base_urls: Sequence[str]) -> Iterator[None]:
    try:
        with anyio.fail_after(within_s):
            yield
    except TimeoutError:
        raise ModelUnreachable(
            f"{', '.join(base_urls)} didn't say what it serves within {within_s:g} s (--wall); {SEE_LOG}"
        ) from None


async def _served(base_url: str, name: str | None, api_key: str | None) -> tuple[str, dict[str, Any]]:
    """Return the model's name on the server, and what the server lists about it."""
    server = CompletionsModel(base_url, model=name, api_key=api_key)
    try:
        await server.warm_up()
        return server.name, await server.entry()
    finally:
        await server.aclose()


def _is_ollamas(served: str, entry: Mapping[str, object]) -> bool:
    """Tell whether it is Ollama that serves a model: its names have a tag, and the owner is a part of them."""
    owner = entry.get("owned_by")
    return ":" in served and (owner == "library" or served.split("/")[-2:-1] == [owner])


def _family(served: str, root: str) -> Family:
    """Return the family by the model's files, or else by its name, which the server's operator may have made up."""
    family = family_of(root, _config(Path(root)))
    return family if family.is_known else family_of(served)


def _config(folder: Path) -> Mapping[str, object]:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}
