"""Solve with a GGUF model of this machine: start the engine when it is first wanted, and end it with the model.

An engine that ends by itself, because the memory ran out for example, is started again for the next request, a few
times: to whoever asks it is a server that was away for a moment.
"""

import asyncio
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree

import anyio

from mumath_agent.errors import InputError, MissingExtra, ModelError, ModelUnreachable
from mumath_agent.models.http.chat_completions import ChatCompletionsModel
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.models.local import engine
from mumath_agent.models.local.gguf import GgufModel, read_gguf
from mumath_agent.models.local.plan import Plan, plan
from mumath_agent.protocols import CompletionModel, CompletionRequest, OnText
from mumath_agent.records import Completion

_POLL_S = 0.05
_NOTICED_S = 2.0
"""How long after its connections a killed process may last."""
_READING_S = 3600.0
"""The longest silence: a laptop may read 25 tokens of a prompt in a second, and several prompts at once."""
_STARTS = 3
"""How many engines in a row may end without an answer."""
_SERVING = re.compile(rf"^{engine.SERVING}(http://\S+:\d+)\n", re.MULTILINE)
_SAID_CHARS = 300
_NO_MEMORY = re.compile(
    r"memory|alloc|mem_buffer|Resource temporarily unavailable", re.IGNORECASE
)  # the last for a thread's stack
_LOGGED_ERROR = " E "
"""How llama.cpp marks an error in a line of its log: time, level, place, text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where the engine listens, and for whom: by default only for us."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 is any free one."""
    key: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    """What clients must send; an empty one lets everybody in."""
    name: str | None = None
    """What the model is called; by default as its file is."""


class LocalModel:
    """The `CompletionModel` of a GGUF file; it can be used from several event loops, one after the other."""

    def __init__(
        self,
        file: Path,
        *,
        chats: bool,
        extra_body: Mapping[str, object] | None = None,
        listening: Listening | None = None,
    ) -> None:
        """Read the file's beginning and decide how to run it; nothing is started yet.

        Args:
            file: a GGUF file.
            chats: prompts are messages, for which the file has a template, instead of text.
            extra_body: fields that requests need besides.
            listening: where others reach the engine, if they shall.

        Raises:
            InputError: the extra is missing, the file can't be used, or the memory won't do.
        """
        if find_spec("xllamacpp") is None:
            raise MissingExtra("--local", "local")
        self._gguf: GgufModel = read_gguf(file)
        if chats and not self._gguf.chats:
            raise InputError(
                f"{file} has no chat template; choose a --dialect for raw text, fenced for example"
            )
        self._plan: Plan = plan(self._gguf)
        self._chats = chats
        self._extra = extra_body
        self._listening = listening or Listening()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._client: CompletionModel | None = None
        """Once the engine has loaded the model."""
        self._ended = 0
        """How many engines have ended since the last answer."""
        self._failed = ""
        """Why there will be no other engine."""

    def __repr__(self) -> str:
        """Show the file."""
        return f"LocalModel({str(self._gguf.path)!r})"

    @property
    def at_once(self) -> int:
        """How many completions it writes side by side; more only wait."""
        return self._plan.slots

    @property
    def name(self) -> str:
        """The file's name without its ending, unless it was given another one."""
        return self._listening.name or self._gguf.name

    @property
    def about(self) -> str:
        """How it runs, in words."""
        threads = "1 thread" if self._plan.threads == 1 else f"{self._plan.threads} threads"
        return f"{self._plan.slots} at once, {self._plan.context_tokens:,} tokens each, {threads}"

    async def warm_up(self) -> None:
        """Start the engine and wait until it has loaded the model.

        Raises:
            ModelError: it can't load it.
        """
        await self._ready()

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """Continue the prompt; see `CompletionModel.complete`.

        Raises:
            ModelUnreachable: the engine has ended; the next request starts another one.
            ModelError: too many have ended, or the model can't be loaded.
        """
        client = await self._ready()
        try:
            completion = await client.complete(request, on_text)
        except ModelUnreachable:
            if client is self._client:
                await self._until_ended(_NOTICED_S)
                await self._check_alive()
            raise
        self._ended = 0
        return completion

    async def serve(self) -> None:
        """Wait until the engine ends.

        Raises:
            ModelError: it has.
        """
        await self._ready()
        await self._until_ended()
        await self._check_alive()

    @property
    def url(self) -> str:
        """The engine's address for programs on this machine, once it is ready."""
        return (self._address() or "").replace("//0.0.0.0:", "//127.0.0.1:")

    async def facts(self) -> dict[str, str]:
        """Return the engine, the file and the plan, for the record of a run."""
        from importlib.metadata import version

        plan = self._plan
        return {
            "engine": f"llama.cpp (xllamacpp {version('xllamacpp')})",
            "file": f"{self._gguf.path.name}, {self._gguf.bytes} bytes",
            "context_tokens": str(plan.context_tokens),
            "slots": str(plan.slots),
            "threads": str(plan.threads),
        }

    async def aclose(self) -> None:
        """End the engine."""
        client, process, folder = self._client, self._process, self._folder
        self._client = self._process = self._folder = None
        if process is not None:  # before anything is awaited: whoever closes may have been cancelled
            process.kill()
            process.wait()
        if folder is not None:
            rmtree(folder, ignore_errors=True)
        if client is not None:
            await client.aclose()

    async def _ready(self) -> CompletionModel:
        """Return the client of the engine, after starting it and waiting until it has loaded the model."""
        while self._client is None:
            if self._failed:
                raise ModelError(self._failed)
            if self._process is None:
                self._start()
            await self._check_alive()
            if (url := self._address()) is None:
                await asyncio.sleep(_POLL_S)
            else:
                self._client = self._client_at(url)
        return self._client

    def _client_at(self, url: str) -> CompletionModel:
        key = self._listening.key
        if self._chats:  # one attempt each: nothing on this machine comes back by itself
            return ChatCompletionsModel(url, self.name, key, attempts=1, read_timeout_s=_READING_S)
        return CompletionsModel(
            url, self.name, key, attempts=1, read_timeout_s=_READING_S, extra_body=self._extra
        )

    def _address(self) -> str | None:
        if self._folder is None:
            return None
        said = _SERVING.search(self._log.read_text("utf-8", "replace"))
        return said[1] if said else None

    def _start(self) -> None:
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="mumath-local-"))
        settings = {
            "path": str(self._gguf.path.resolve()),
            "folder": str(self._folder),
            "name": self.name,
            "host": self._listening.host,
            "port": self._listening.port,
            "slots": self._plan.slots,
            "context_tokens": self._plan.context_tokens,
            "threads": self._plan.threads,
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", engine.__file__, json.dumps(settings)],
                env=os.environ
                | {engine.KEY: self._listening.key, engine.LAUNCHER: str(os.getpid())}
                | {"GGML_NO_BACKTRACE": "1"},  # llama.cpp would start a debugger when it gives up
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal reaches only us
            )

    @property
    def _log(self) -> Path:
        assert self._folder is not None
        return self._folder / "log"

    async def _until_ended(self, within_s: float | None = None) -> None:
        """Wait for the engine's end, at most so long."""
        with anyio.move_on_after(within_s):
            while self._process is not None and self._process.poll() is None:  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(_POLL_S)

    async def _check_alive(self) -> None:
        """Raise an error if the engine has ended, and make room for another one, unless that wouldn't help.

        Raises:
            ModelError: it has; the message says why, as far as can be told.
        """
        if self._process is None or (code := self._process.poll()) is None:
            return
        why = f"the engine of {self._gguf.path} has ended: {self._why(code)}"
        self._ended += 1
        client, self._process, self._client = self._client, None, None
        if client is None or self._ended >= _STARTS:
            self._failed = why
            raise ModelError(why)
        await client.aclose()
        raise ModelUnreachable(why)

    def _why(self, code: int) -> str:
        if code == -signal.SIGKILL:
            return "it was killed, most likely because the memory ran out; choose a smaller model"
        name = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        said = _last_error(self._log)
        remedy = "; choose a smaller model, or close other programs" if _NO_MEMORY.search(said) else ""
        return f"{said} ({name}){remedy}"


def _last_error(log: Path) -> str:
    """Return what llama.cpp said last of an error, or else its last line."""
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    errors = [line.partition(_LOGGED_ERROR)[2] for line in lines if _LOGGED_ERROR in line[:24]]
    # The first one names the cause; those after it only follow.
    said = " ".join((errors[0] if errors else lines[-1] if lines else "it said nothing").split())
    return "".join(filter(str.isprintable, said))[:_SAID_CHARS]  # parts of it come from the file
