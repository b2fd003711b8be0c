"""The share of problems a model solves while it is being trained: its real task, measured without exporting anything.

The model in training writes greedily, the project's own solver runs its programs in real kernels, and the grader
compares. Sizes are small (some dozens of problems), so completions are made one after the other.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import anyio
import torch
from transformers import PreTrainedTokenizerFast

from finetune.training.train import Stage
from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.solver import Solver
from mumath_agent.dialects import get_dialect
from mumath_agent.errors import ModelRefused
from mumath_agent.grading import Grader
from mumath_agent.models import as_text
from mumath_agent.models.stopping import TextUntilStop
from mumath_agent.protocols import CompletionRequest, OnText
from mumath_agent.records import Completion, FinishReason, Outcome, Problem, RunRecord


class ModelInTraining:
    """A torch model in this process; implements `CompletionModel`. Greedy only."""

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerFast, *, name: str) -> None:
        self._model, self._tokenizer, self._name = model, tokenizer, name
        self._one_at_a_time = anyio.Lock()

    @property
    def name(self) -> str:
        return self._name

    async def warm_up(self) -> None:
        """There is nothing to load."""

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """See `CompletionModel.complete`.

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
        """The model stays: it is the trainer's."""

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


def solves(problems: Sequence[Problem], *, concurrency: int = 4) -> Callable[[Stage], float | None]:
    """A measure for `train(solved=…)`, in one process: the share of `problems` solved, between 0 and 1."""

    def measure(stage: Stage) -> float | None:
        stage.model.train(False)
        try:
            with torch.random.fork_rng(devices=[]):
                return anyio.run(partial(_share_solved, stage, problems, concurrency))
        finally:
            stage.model.train()

    return measure


async def _share_solved(stage: Stage, problems: Sequence[Problem], concurrency: int) -> float:
    model = ModelInTraining(stage.model, stage.tokenizer, name=stage.recipe.name)
    records: list[RunRecord] = []
    solver = Solver(model=model, dialect=get_dialect(stage.recipe.dialect))
    async with Grader() as grader:
        batch = Batch(problems=tuple(problems), solver=solver)
        await run_batch(batch, concurrency=concurrency, grader=grader, on_record=records.append)
    right = [r.verdict is not None and r.verdict.outcome is Outcome.CORRECT for r in records]
    return sum(right) / len(right)
