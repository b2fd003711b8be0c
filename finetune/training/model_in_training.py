"""Solve problems with the model that is being trained, as it stands, without exporting anything."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio
import torch
from transformers import PreTrainedTokenizerFast

from finetune.training.solve_rate import solve_rate
from finetune.training.train import MeasureSolveRate, TrainingRun
from mumath_agent.dialects import get_dialect
from mumath_agent.errors import ModelRefused
from mumath_agent.models import as_text
from mumath_agent.models.stopping import TextUntilStop
from mumath_agent.protocols import CompletionRequest, OnText
from mumath_agent.records import Completion, FinishReason, Problem


def solve_rate_on(problems: Sequence[Problem], *, concurrency: int = 4) -> MeasureSolveRate:
    """Return a measure for `train(solve_rate=...)`: the share of `problems` solved, in a run of one process.

    Training isn't disturbed: the random state is restored.
    """

    def measure(training: TrainingRun) -> float:
        model = ModelInTraining(training.model, training.tokenizer, name=training.recipe.name)
        dialect = get_dialect(training.recipe.dialect)
        training.model.train(False)
        try:
            with torch.random.fork_rng(devices=[]):
                attempts = partial(solve_rate, model, problems, dialect=dialect, concurrency=concurrency)
                return anyio.run(attempts)["all"].share
        finally:
            training.model.train()

    return measure


class ModelInTraining:
    """A torch model in this process as a `CompletionModel`: greedy, one completion at a time."""

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerFast, *, name: str) -> None:
        """Wrap a model of transformers, which stays its owner's."""
        self._model, self._tokenizer, self._name = model, tokenizer, name
        self._one_at_a_time = anyio.Lock()

    @property
    def name(self) -> str:
        """The name written into records."""
        return self._name

    async def warm_up(self) -> None:
        """Do nothing: the model is loaded."""

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """Continue the prompt; see `CompletionModel.complete`.

        Raises:
            ModelRefused: the prompt leaves no room, or sampling isn't greedy.
        """
        if request.sampling.temperature > 0:
            raise ModelRefused("the model in training writes greedily only; set temperature to 0")
        async with self._one_at_a_time:
            completion = await anyio.to_thread.run_sync(
                self._complete, as_text(request.prompt, self.name), request.stop, request.max_tokens
            )
        if on_text:
            on_text(completion.text)
        return completion

    async def aclose(self) -> None:
        """Do nothing: the model belongs to the training run."""

    def _complete(self, prompt: str, stop: tuple[str, ...], max_tokens: int) -> Completion:
        asked = self._tokenizer(prompt, return_tensors="pt").to(self._model.device)
        given = asked["input_ids"].shape[1]
        room = min(max_tokens, self._model.config.max_position_embeddings - given)
        if room <= 0:
            raise ModelRefused(f"a prompt of {given} tokens leaves no room in the model's context")
        end = self._tokenizer.eos_token_id
        options = {"do_sample": False, "eos_token_id": end, "pad_token_id": end, "tokenizer": self._tokenizer}
        with torch.no_grad():
            ids = self._model.generate(**asked, **options, max_new_tokens=room, stop_strings=list(stop))[0]
        ended = bool(ids[-1] == end)
        text = TextUntilStop(stop)
        # Decoded with what came before: alone, a SentencePiece text would lose its first space.
        before = self._tokenizer.decode(ids[:given])
        text.add(str(self._tokenizer.decode(ids[:-1] if ended else ids))[len(before) :])
        return Completion(
            text=text.text,
            finish_reason=FinishReason.STOP if text.stopped or ended else FinishReason.LENGTH,
            prompt_tokens=given,
            completion_tokens=len(ids) - given,
        )
