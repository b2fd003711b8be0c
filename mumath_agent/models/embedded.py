"""Run the embedded model, a small Llama, in this process: no server, no torch, no download.

Loading and generating happen in one worker thread, so the event loop stays free. Several requests are written together.
"""

import asyncio
import hashlib
from pathlib import Path

from mumath_agent.models import as_text
from mumath_agent.models.calibration import Calibration
from mumath_agent.models.embedded_batch import Writer, Writing
from mumath_agent.models.embedded_engine import SLOTS, weights_file
from mumath_agent.protocols import CompletionRequest, OnText
from mumath_agent.records import Completion

DEFAULT = Path(__file__).parents[1] / "weights" / "embedded"
CAUTION = "The embedded model (117M parameters) knows word problems and plain sums; its answers may be wrong."
"""What the model that ships with the package is good for. Every record of it carries this."""


class EmbeddedModel:
    """The embedded `CompletionModel`; it can be used from several event loops."""

    def __init__(self, folder: Path = DEFAULT) -> None:
        """Take a Hugging Face folder that also has the files of onnxruntime-genai's model builder."""
        self._folder = folder
        self.at_once, self.caution = SLOTS, CAUTION if folder.resolve() == DEFAULT.resolve() else ""
        self.calibration = Calibration.read(folder)
        self._writer = Writer(folder)

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
        await asyncio.wrap_future(self._writer.load())

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """Continue the prompt; see `CompletionModel.complete`."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        def say(piece: str | None) -> None:
            try:
                loop.call_soon_threadsafe(pieces.put_nowait, piece)
            except RuntimeError:  # the loop was closed: nobody waits any more
                writing.result.cancel()

        writing = Writing(as_text(request.prompt, self.name), request, say)
        writing.result.add_done_callback(lambda _: say(None))
        self._writer.begin(writing)
        try:
            while (piece := await pieces.get()) is not None:
                if on_text:
                    on_text(piece)
            return writing.result.result()
        finally:
            writing.result.cancel()

    async def facts(self) -> dict[str, str]:
        """Return the engine and the checksum of the weights, for the record of a run."""
        weights = weights_file(self._folder).read_bytes()
        return {"engine": "onnxruntime", "weights_sha256": hashlib.sha256(weights).hexdigest()}

    async def aclose(self) -> None:
        """End the worker thread and free the model. Completions still awaited raise ModelError."""
        self._writer.close()
