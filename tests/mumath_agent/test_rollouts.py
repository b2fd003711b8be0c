"""Rollouts of a tiny model, with real kernels and the real grader; TRL itself isn't here."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from mumath_agent.bridge import run_sync
from mumath_agent.errors import InputError, ModelMisconfigured, ModelUnreachable
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.models.tokens import tokenizer_of
from mumath_agent.records import Completion, FinishReason
from mumath_agent.rollouts import (
    Rollout,
    TokensDiffer,
    check,
    env_reward,
    rollout_func,
    rollouts,
    trl_fields,
)
from mumath_agent.testing import ScriptedModel
from tests.dictated import Dictated, after, token_of
from tests.toy import TOY

TOKENIZER = tokenizer_of(TOY)
END = token_of(TOKENIZER, "<|end|>")
EASY = {"question": "Tom has 3 apples and buys 4 more. How many apples does Tom have?", "answer": "7"}
ROLLOUT = Rollout(
    prompt_ids=(5,), completion_ids=(6, 7), logprobs=(-1.0, 0.0), env_mask=(True, False), text="", reward=None
)


@pytest.fixture
def model() -> Iterator[EmbeddedModel]:
    model = EmbeddedModel(TOY)
    yield model
    run_sync(model.aclose())


def says(*turns: str) -> Dictated:
    ids = [TOKENIZER.encode(turn, add_special_tokens=False).ids for turn in turns]
    return Dictated(tokenizer=TOKENIZER, turns=[*ids[:-1], [*ids[-1], END]], end=END)


@pytest.mark.parametrize("name", ["completion_ids", "logprobs", "env_mask"])
def test_a_rollout_has_one_of_each_for_a_token(name: str) -> None:
    with pytest.raises(TokensDiffer, match=r"not \d completion_ids, \d logprobs and \d of env_mask"):
        replace(ROLLOUT, **{name: getattr(ROLLOUT, name)[:1]})


@pytest.mark.model
@pytest.mark.kernel
@pytest.mark.worker
def test_a_model_rolls_out_in_tokens(model: EmbeddedModel) -> None:
    wrong = EASY | {"answer": "8"}
    made = rollouts([EASY, EASY, wrong, EASY["question"]], tokenizer=TOY, model=model)
    assert len(made) == 4 and {one.reward for one in made[:2]} <= {0.0, 1.0}
    assert made[3].reward is None
    for one in made:
        check(one, TOKENIZER)
        assert one.prompt_ids == tuple(TOKENIZER.encode(f"<|user|>\n{EASY['question']}\n<|assistant|>\n").ids)
        own = [token for token, mine in zip(one.completion_ids, one.env_mask, strict=True) if mine]
        assert after(TOKENIZER, (), own).replace("<|end|>", "") in one.text or "```output" in one.text
        assert all(n <= 0 for n in one.logprobs) and any(one.env_mask)
        assert one.reward != 1.0 or "\\boxed{7}" in one.text


@pytest.mark.model
@pytest.mark.kernel
def test_a_seed_gives_the_same_rollouts_and_every_attempt_has_its_own(model: EmbeddedModel) -> None:
    hot: dict[str, Any] = {"temperature": 1.0, "seed": 5}
    texts = [
        [
            one.completion_ids
            for one in rollouts([EASY["question"]] * 6, tokenizer=TOY, model=model, sampling=hot)
        ]
        for _ in range(2)
    ]
    assert texts[0] == texts[1] and len(set(texts[0])) > 1


@pytest.mark.kernel
@pytest.mark.worker
@pytest.mark.parametrize(
    ("turns", "answer", "reward"),
    [
        (["So \\boxed{7}."], "7", 1.0),
        (["So \\boxed{\\frac{14}{2}}."], "7", 1.0),
        (["So \\boxed{8}."], "7", 0.0),
        (["So 7. The answer is 7."], "7", 0.0),  # without a box
        (["Either \\boxed{7} or \\boxed{8}."], "7", 0.0),  # a hedge
        (["Add.\n```python\nprint(7)\n```\n```output\n", "Done"], "7", 0.0),  # only printed
        (["```python\nprint('\\\\boxed{7}')\n```\n```output\n", "Done"], "7", 0.0),
        (["Add.\n```python\nprint(7)\n```\n```output\n", "So \\boxed{7}"], "7", 1.0),
        (["I don't know"], "7", 0.0),
        (["So \\boxed{7}."], "{unclosed", None),  # nobody can tell
        (["So \\boxed{7}."], None, None),
    ],
)
def test_the_reward_is_that_of_the_boxed_answer(
    turns: list[str], answer: str | None, reward: float | None
) -> None:
    row = {"question": "How many?"} | ({"answer": answer} if answer else {})
    (made,) = rollouts([row], tokenizer=TOKENIZER, model=says(*turns))
    assert made.reward == reward


@pytest.mark.kernel
def test_what_a_limit_cuts_off_has_no_answer() -> None:
    model = says("So \\boxed{7}.")
    model.end = -1  # it never ends
    (made,) = rollouts([EASY], tokenizer=TOKENIZER, model=model)
    assert (made.reward, made.text) == (0.0, "So \\boxed{7}.<|end|>")


@pytest.mark.kernel
def test_a_broken_attempt_is_left_out_and_all_broken_ones_are_raised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone = ModelUnreachable("nothing answers")
    ids = TOKENIZER.encode("So \\boxed{7}.", add_special_tokens=False).ids
    whole = Completion(
        text="So \\boxed{7}.",
        finish_reason=FinishReason.STOP,
        prompt_tokens=1,
        completion_tokens=1,
        token_ids=(*ids, END),
        token_logprobs=(-1.0,) * (len(ids) + 1),
    )
    model = ScriptedModel(texts=[whole, gone])
    with caplog.at_level(logging.WARNING):
        made = rollouts([EASY, EASY], tokenizer=TOKENIZER, model=model, concurrency=1)
    assert [one.reward for one in made] == [1.0, None] and "nothing answers" in caplog.text
    assert made[1].completion_ids == ()
    filled = trl_fields(made)
    assert [sum(mask) for mask in filled["env_mask"]] == [len(ids) + 1, 0]
    assert all(map(len, filled["completion_ids"])) and filled["env_reward"] == [1.0, None]
    with pytest.raises(ModelUnreachable, match="nothing answers"):
        rollouts([EASY], tokenizer=TOKENIZER, model=ScriptedModel(texts=[gone]))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"sampling": {"temperature": 0.7}},
            InputError,
            "temperature is 0.7 and top_p 1; rollouts need 1 and 1",
        ),
        ({"sampling": {"temperature": 1.0, "top_p": 0.9}}, InputError, "top_p 0.9"),
        ({"dialect": "chat"}, InputError, "chat is a chat; use fenced"),
        ({"tokenizer": "nowhere"}, InputError, "no tokenizer at nowhere"),
        ({"concurrency": 0}, InputError, "concurrency is 0"),
        ({"limit": {}}, InputError, "unknown setting 'limit'"),
        ({"model": ScriptedModel(texts=["So 7."])}, ModelMisconfigured, "tells no token ids"),
    ],
)
@pytest.mark.kernel
def test_what_can_not_go_well_is_refused(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        rollouts([EASY], **{"tokenizer": TOKENIZER, "model": says("7"), **settings})


def test_ids_that_are_another_text_are_told() -> None:
    ids = tuple(TOKENIZER.encode("So 7.", add_special_tokens=False).ids)
    right = replace(
        ROLLOUT, completion_ids=ids, logprobs=(0.0,) * len(ids), env_mask=(True,) * len(ids), text="So 7."
    )
    check(right, TOKENIZER)
    for wrong in (replace(right, text="So 8."), replace(right, text="So 7")):
        with pytest.raises(TokensDiffer, match=r"decode to 'So 7\.', but the text is 'So"):
            check(wrong, TOKENIZER)


@pytest.mark.kernel
@pytest.mark.worker
def test_trl_gets_what_its_rollout_func_returns() -> None:
    trainer = SimpleNamespace(processing_class=SimpleNamespace(backend_tokenizer=TOKENIZER))
    func = rollout_func([EASY], model=says("So \\boxed{7}."))
    fields = func([EASY["question"]], trainer)
    assert set(fields) == {"prompt_ids", "completion_ids", "logprobs", "env_mask", "env_reward"}
    assert {type(each) for name in fields for each in fields[name]} == {list, float}
    assert {len(each) for each in fields.values()} == {1}
    assert fields["env_mask"] == [[1] * len(fields["completion_ids"][0])]
    columns = {name: fields[name] for name in ("env_reward",)}
    assert env_reward(
        prompts=[""], completions=[""], completion_ids=[[1]], trainer_state=None, **columns
    ) == [1.0]
    with pytest.raises(InputError, match="bare questions"):
        func([[{"role": "user", "content": "7?"}]], trainer)  # type: ignore[list-item]
