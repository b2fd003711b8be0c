"""Solve with a GGUF model of this machine: start the engine when it is first wanted, and end it with the model."""

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
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree

from mumath_agent.errors import InputError, MissingExtra, ModelError, ModelUnreachable
from mumath_agent.models.http.chat_completions import ChatCompletionsModel
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.models.local import engine
from mumath_agent.models.local.gguf import GgufModel, read_gguf
from mumath_agent.models.local.plan import Plan, plan
from mumath_agent.protocols import CompletionModel, CompletionRequest, OnText
from mumath_agent.records import Completion

_POLL_S = 0.05
_END_S = 5.0
_SERVING = re.compile(rf"^{engine.SERVING}(http://[\w.]+:\d+)\n", re.MULTILINE)
_LOGGED_ERROR = " E "
"""How llama.cpp marks an error in a line of its log: time, level, place, text."""


class LocalModel:
    """The `CompletionModel` of a GGUF file; it can be used from several event loops, one after the other."""

    def __init__(self, file: Path, *, chats: bool, extra_body: Mapping[str, object] | None = None) -> None:
        """Read the file's beginning and decide how to run it; nothing is started yet.

        Args:
            file: a GGUF file.
            chats: prompts are messages, for which the file has a template, instead of text.
            extra_body: fields that requests need besides.

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
        self._key = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._client: CompletionModel | None = None
        """Once the engine has loaded the model."""

    def __repr__(self) -> str:
        """Show the file."""
        return f"LocalModel({str(self._gguf.path)!r})"

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self._gguf.name

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
        """Continue the prompt; see `CompletionModel.complete`."""
        client = await self._ready()
        try:
            return await client.complete(request, on_text)
        except ModelUnreachable:
            self._check_alive()
            raise

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
        if self._client is not None:
            await self._client.aclose()
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._process.wait, _END_S)
            self._process.kill()
            self._process.wait()
            self._process = self._client = None
        if self._folder is not None:
            rmtree(self._folder, ignore_errors=True)
            self._folder = None

    async def _ready(self) -> CompletionModel:
        """Return the client of the engine, after starting it and waiting until it has loaded the model."""
        if self._process is None:
            self._start()
        while self._client is None:
            self._check_alive()
            if (url := self._address()) is None:
                await asyncio.sleep(_POLL_S)
            elif self._chats:
                self._client = ChatCompletionsModel(url, self.name, self._key)
            else:
                self._client = CompletionsModel(url, self.name, self._key, extra_body=self._extra)
        return self._client

    def _address(self) -> str | None:
        said = _SERVING.search(self._log.read_text("utf-8", "replace"))
        return said[1] if said else None

    def _start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mumath-local-"))
        settings = {
            "path": str(self._gguf.path.resolve()),
            "name": self.name,
            "slots": self._plan.slots,
            "context_tokens": self._plan.context_tokens,
            "threads": self._plan.threads,
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", engine.__file__, json.dumps(settings)],
                env=os.environ | {engine.KEY: self._key, engine.LAUNCHER: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal reaches only us
            )

    @property
    def _log(self) -> Path:
        assert self._folder is not None
        return self._folder / "log"

    def _check_alive(self) -> None:
        """Raise ModelError if the engine has ended.

        Raises:
            ModelError: it has; the message says why, as far as can be told.
        """
        if self._process is None or (code := self._process.poll()) is None:
            return
        if code == -signal.SIGKILL:
            why = "it was killed, most likely because the memory ran out; choose a smaller model"
        else:
            why = f"{_last_error(self._log)} (exit code {code})"
        raise ModelError(f"the engine of {self._gguf.path} has ended: {why}")


def _last_error(log: Path) -> str:
    """Return what llama.cpp said last of an error, or else its last line."""
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    errors = [line.partition(_LOGGED_ERROR)[2] for line in lines if _LOGGED_ERROR in line[:24]]
    # The first one names the cause; those after it only follow.
    return " ".join((errors[0] if errors else lines[-1] if lines else "it said nothing").split())
