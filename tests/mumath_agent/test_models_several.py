"""Several servers as one model: the least busy is asked, one that is away is left alone."""

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import pytest

from mumath_agent.errors import InputError, ModelRefused, ModelUnreachable
from mumath_agent.models.several import SeveralServers
from mumath_agent.records import Completion, Sampling
from mumath_agent.testing import ScriptedModel

pytestmark = pytest.mark.anyio


@dataclass(kw_only=True)
class Slow(ScriptedModel):
    """Answers when the test lets it."""

    go: anyio.Event = field(default_factory=anyio.Event)

    async def complete(
        self,
        prompt: str,
        *,
        stop: tuple[str, ...],
        max_tokens: int,
        sampling: Sampling,
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        await self.go.wait()
        return await ScriptedModel.complete(
            self, prompt, stop=stop, max_tokens=max_tokens, sampling=sampling, on_text=on_text
        )


async def ask(model: SeveralServers, prompt: str = "?") -> str:
    return (await model.complete(prompt, stop=(), max_tokens=9, sampling=Sampling())).text


async def test_a_completion_goes_to_the_server_with_the_fewest_in_flight() -> None:
    slow, quick = Slow(texts=["slow"] * 9), ScriptedModel(texts=["quick"] * 9)
    model = SeveralServers([slow, quick])
    said: list[str] = []

    async def asking() -> None:
        said.append(await ask(model))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asking)
        await anyio.wait_all_tasks_blocked()
        for _ in range(4):
            await asking()
        assert said == ["quick"] * 4
        slow.go.set()
    assert said == ["quick"] * 4 + ["slow"]


async def test_a_server_that_does_not_answer_is_left_alone_while_another_does() -> None:
    away = ScriptedModel(texts=[ModelUnreachable("away")] * 9)
    model = SeveralServers([away, ScriptedModel(texts=["here"] * 9)])
    assert [await ask(model, str(n)) for n in range(4)] == ["here"] * 4
    assert away.prompts == ["0"]


async def test_if_none_answers_that_is_said_and_all_are_asked_again_the_next_time() -> None:
    servers = [ScriptedModel(texts=[ModelUnreachable("away"), "back"]) for _ in range(2)]
    model = SeveralServers(servers)
    with pytest.raises(ModelUnreachable):
        await ask(model)
    assert await ask(model) == "back"


async def test_a_refusal_is_not_asked_of_another_server() -> None:
    other = ScriptedModel(texts=["yes"])
    with pytest.raises(ModelRefused):
        await ask(SeveralServers([ScriptedModel(texts=[ModelRefused("no")]), other]))
    assert other.prompts == []


async def test_servers_of_different_models_are_refused() -> None:
    model = SeveralServers([ScriptedModel(texts=[], name="a"), ScriptedModel(texts=[], name="b")])
    with pytest.raises(ModelRefused, match="a, b"):
        await model.warm_up()


def test_no_server_is_an_error() -> None:
    with pytest.raises(InputError):
        SeveralServers([])
