"""Solutions as whoever trains by doing needs them: token by token, with who wrote each and how probable it was.

    problems ─▶ attempts of the solver, in ids (`models/tokens.py`) ─▶ reward (`rewards.py`) ─▶ `Rollout`s
                                                                                        └─▶ TRL's `rollout_func`

Nothing of TRL's is imported: what it asks for is a function and a dict of lists. docs/learning.md shows both.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from tokenizers import Tokenizer

from mumath_agent.agent.batch import Sample
from mumath_agent.agent.failures import RAISED
from mumath_agent.agent.settings import SolverSettings, opened_solver, options_of
from mumath_agent.agent.solver import Solver
from mumath_agent.bridge import run_sync
from mumath_agent.concurrency import map_each
from mumath_agent.dialects import Blocks, Fenced
from mumath_agent.errors import InputError, MuMathError
from mumath_agent.kernels import KernelPool
from mumath_agent.models.tokens import TokenRecorder, TokensDiffer, special_tokens, tokenizer_of
from mumath_agent.problems import problem_of
from mumath_agent.records import BROKEN, Problem, RunRecord, Sampling, StopReason
from mumath_agent.rewards import reward_of
from mumath_agent.transcript import Transcript

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """An attempt in tokens."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    """Everything after the prompt: what the model wrote, its end token too, and the outputs in between."""
    logprobs: tuple[float, ...]
    """The natural log-probability of each token for the policy that wrote; 0.0 where `env_mask` is False."""
    env_mask: tuple[bool, ...]
    """True: the model wrote the token."""
    text: str
    """The whole solution."""
    reward: float | None
    """1.0 right, 0.0 wrong, None: ungraded or broken machinery: leave it out."""

    def __post_init__(self) -> None:
        """Refuse what isn't of equal length.

        Raises:
            TokensDiffer: it says how long each is.
        """
        lengths = (len(self.completion_ids), len(self.logprobs), len(self.env_mask))
        if len(set(lengths)) > 1:
            raise TokensDiffer(
                "a rollout has a log-probability and a mask for each token, not "
                "{} completion_ids, {} logprobs and {} of env_mask".format(*lengths)
            )


def check(rollout: Rollout, tokenizer: Tokenizer) -> None:
    """Make sure that a rollout's ids are its text; an end token may follow.

    Raises:
        TokensDiffer: they are something else.
    """

    def decoded(completion: Sequence[int]) -> str:
        begin, whole = (
            tokenizer.decode([*rollout.prompt_ids, *ids], skip_special_tokens=False)
            for ids in ((), completion)
        )
        return whole.removeprefix(begin)

    ids = rollout.completion_ids
    ends = bool(ids) and ids[-1] in tokenizer.get_added_tokens_decoder()
    if decoded(ids) != rollout.text and not (ends and decoded(ids[:-1]) == rollout.text):
        raise TokensDiffer(
            f"the completion_ids decode to {decoded(ids)[-60:]!r}, but the text is {rollout.text[-60:]!r}"
        )


def rollouts(
    prompts: Iterable[str | Mapping[str, Any] | Problem],
    *,
    tokenizer: Tokenizer | Path | str,
    concurrency: int = 8,
    **settings: Unpack[SolverSettings],
) -> list[Rollout]:
    """Attempt each problem once and return the attempts in tokens, in the order of the problems.

    Give a problem several times for several attempts. Where it has a gold answer, its rollouts have a reward.

    Args:
        prompts: questions, mappings as the lines of a JSONL file are, or `Problem`s.
        tokenizer: that of the model: its folder, its tokenizer.json, or a `tokenizers.Tokenizer`.
        concurrency: attempts at a time.
        settings: see `SolverSettings`. The dialect is one for raw text; the model tells token ids, as the embedded
            engine and vLLM do. Tokens are drawn at temperature 1, because log-probabilities are those of temperature 1.

    Raises:
        InputError: a problem or a setting can't be used; nothing was attempted.
        ModelMisconfigured: the model tells no ids, or the tokenizer isn't its own.
        ModelUnreachable, ModelError, KernelError: every attempt broke. If only some did, these have no reward.
    """
    problems = [problem_of(each, number) for number, each in enumerate(prompts, start=1)]
    if not isinstance(concurrency, int) or concurrency < 1:
        raise InputError(f"concurrency is {concurrency!r}; it must be 1 or more")
    settings = {"sampling": Sampling(temperature=1.0), **settings}
    sampling = options_of(settings).sampling
    if (sampling.temperature, sampling.top_p) != (1.0, 1.0):
        raise InputError(
            f"temperature is {sampling.temperature:g} and top_p {sampling.top_p:g}; rollouts need 1 and 1, for which "
            "the log-probabilities are those of the policy that wrote"
        )
    return run_sync(_rollouts(problems, tokenizer_of(tokenizer), concurrency, settings))


async def _rollouts(
    problems: list[Problem], tokenizer: Tokenizer, concurrency: int, settings: SolverSettings
) -> list[Rollout]:
    async with opened_solver(settings) as solver, KernelPool(solver.sandbox, spares=1) as pool:
        if not isinstance(solver.dialect.prompt(Transcript(question="?")), str):
            raise InputError(f"rollouts are raw text, and {solver.dialect.name} is a chat; use fenced, say")

        async def attempt(sample: Sample) -> tuple[RunRecord, Rollout]:
            recorder = TokenRecorder(solver.model, tokenizer)
            async with solver.new_kernel(pool) as kernel:
                record = await _solver_for(sample, solver, recorder).solve(sample.problem, kernel=kernel)
            return record, await _rollout(record, recorder, tokenizer)

        if isinstance(dialect := solver.dialect, Fenced | Blocks):
            solver = replace(solver, dialect=replace(dialect, own_tokens=special_tokens(tokenizer)))
        samples = [Sample(problem=problem, number=number) for number, problem in enumerate(problems)]
        made = await map_each(samples, attempt, concurrency=concurrency)
    if made and all(record.trajectory.stop_reason in BROKEN for record, _ in made):
        first = made[0][0].trajectory
        raise RAISED.get(first.stop_reason, MuMathError)(first.error or first.stop_reason.value)
    return [rollout for _, rollout in made]


def _solver_for(sample: Sample, solver: Solver, recorder: TokenRecorder) -> Solver:
    seed = solver.sampling.seed
    own = solver.sampling if seed is None else replace(solver.sampling, seed=sample.seed(seed))
    return replace(solver, model=recorder, sampling=own)


async def _rollout(record: RunRecord, recorder: TokenRecorder, tokenizer: Tokenizer) -> Rollout:
    attempt, reward = record.trajectory, None
    if attempt.stop_reason in BROKEN:
        _log.warning("a rollout broke and has no reward: %s", attempt.error)
        tokens = recorder.tokens()
    else:
        try:
            tokens = recorder.tokens(attempt.transcript)
            ended = attempt.stop_reason in (StopReason.ANSWERED, StopReason.NO_ANSWER)
            reward = await reward_of(attempt.transcript, record.problem.target, is_finished=ended)
        except TokensDiffer as error:  # a seam that this tokenizer can't have: one attempt is lost
            _log.warning("a rollout has no reward: %s", error)
            tokens = recorder.tokens()
    rollout = Rollout(
        prompt_ids=recorder.prompt_ids,
        completion_ids=tokens.ids,
        logprobs=tokens.logprobs,
        env_mask=tokens.written,
        text=tokens.text,
        reward=reward,
    )
    check(rollout, tokenizer)
    return rollout


def trl_fields(made: Sequence[Rollout]) -> dict[str, list[Any]]:
    """Return rollouts in the form that TRL's `rollout_func` returns; the rewards are a field besides, `env_reward`.

    TRL can't have an empty completion: one gets a token that doesn't count.
    """
    filled = [
        one
        if one.completion_ids
        else replace(one, completion_ids=one.prompt_ids[-1:] or (0,), logprobs=(0.0,), env_mask=(False,))
        for one in made
    ]
    return {
        "prompt_ids": [list(one.prompt_ids) for one in filled],
        "completion_ids": [list(one.completion_ids) for one in filled],
        "logprobs": [list(one.logprobs) for one in filled],
        "env_mask": [[int(written) for written in one.env_mask] for one in filled],
        "env_reward": [one.reward for one in filled],
    }


def rollout_func(
    problems: Iterable[Mapping[str, Any] | Problem],
    *,
    tokenizer: Tokenizer | Path | str | None = None,
    concurrency: int = 8,
    **settings: Unpack[SolverSettings],
) -> Callable[[list[str], Any], dict[str, list[Any]]]:
    """Return a `rollout_func` for TRL's GRPOTrainer.

    Args:
        problems: those of the dataset, with their gold answers: TRL gives the function nothing but the prompts, which
            must be the bare questions.
        tokenizer: see `rollouts`; without it, the trainer's.
        concurrency: attempts at a time.
        settings: see `rollouts`.
    """
    given = [problem_of(each, number) for number, each in enumerate(problems, start=1)]
    known = {problem.question.strip(): problem for problem in given}

    def roll_out(prompts: list[str], trainer: Any) -> dict[str, list[Any]]:
        if odd := [prompt for prompt in prompts if not isinstance(prompt, str)]:
            raise InputError(f"a prompt is {str(odd[0])[:80]}; the dataset's prompts must be bare questions")
        own = trainer.processing_class.backend_tokenizer if tokenizer is None else tokenizer
        asked = [known.get(prompt.strip(), prompt) for prompt in prompts]
        return trl_fields(rollouts(asked, tokenizer=own, concurrency=concurrency, **settings))

    return roll_out


def env_reward(env_reward: list[float | None], **_columns: object) -> list[float | None]:
    """Return the rewards that came with the rollouts: a reward function for TRL beside `rollout_func`."""
    return env_reward


__all__ = ["Rollout", "TokensDiffer", "check", "env_reward", "rollout_func", "rollouts", "trl_fields"]
