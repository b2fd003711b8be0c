"""Run the embedded model, a small Llama, in this process: no server, no torch, no download.

Loading and generating happen in one worker thread, so the event loop stays free. Requests are served one after the
other: the engine holds Python's lock while it computes, so more threads wouldn't be faster.
"""

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from threading import Event

from mumath_agent.models import as_text, embedded_engine
from mumath_agent.protocols import CompletionRequest, OnText
from mumath_agent.records import Completion

DEFAULT = Path(__file__).parents[1] / "weights" / "embedded"
CAUTION = (
    "The embedded model is a 4.5M-parameter toy for elementary word problems of one to three steps; "
    "its answers may be wrong."
)
"""What the model that ships with the package is good for. Every record of it carries this."""


class EmbeddedModel:
    """The embedded `CompletionModel`; it can be used from several event loops."""

    def __init__(self, folder: Path = DEFAULT) -> None:
        """Take a Hugging Face folder that also has the files of onnxruntime-genai's model builder."""
        self._folder = folder
        self.at_once, self.caution = 1, CAUTION if folder.resolve() == DEFAULT.resolve() else ""
        self._live: set[Event] = set()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mumath-embedded")

    def __repr__(self) -> str:
        """Show the folder."""
        return f"EmbeddedModel({str(self._folder)!r})"

    @property
    def name(self) -> str:
        """The folder's name."""
        return self._folder.name

    async def warm_up(self) -> None:
        """Load the model; this can run beside other slow work.

        Raises:
            ModelError: the folder lacks a file.
        """
        await asyncio.get_running_loop().run_in_executor(self._worker, lambda: self._engine)

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """Continue the prompt; see `CompletionModel.complete`."""
        loop = asyncio.get_running_loop()
        cancelled = Event()
        prompt = as_text(request.prompt, self.name)
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        def say(piece: str) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

        running = loop.run_in_executor(
            self._worker, lambda: embedded_engine.complete(self._engine, prompt, request, cancelled, say)
        )
        running.add_done_callback(lambda _: pieces.put_nowait(None))
        self._live.add(cancelled)
        try:
            while (piece := await pieces.get()) is not None:
                if on_text:
                    on_text(piece)
            return await running
        finally:
            cancelled.set()
            running.cancel()
            self._live.discard(cancelled)

    async def facts(self) -> dict[str, str]:
        """Return the engine and the checksum of the weights, for the record of a run."""
        weights = embedded_engine.weights_file(self._folder).read_bytes()
        return {"engine": "onnxruntime-genai", "weights_sha256": hashlib.sha256(weights).hexdigest()}

    async def aclose(self) -> None:
        """End the worker thread and free the model. Completions still awaited raise ModelError."""
        for cancelled in tuple(self._live):
            cancelled.set()
        self._worker.shutdown(wait=False)
        self.__dict__.pop("_engine", None)

    @cached_property
    def _engine(self) -> embedded_engine.Engine:
        return embedded_engine.load(self._folder)
