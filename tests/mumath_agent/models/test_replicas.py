"""Several servers as one model: the least busy is asked, one that is away is left alone."""

from dataclasses import dataclass, field

import anyio
import pytest

from mumath_agent.dialects import get_text_dialect
from mumath_agent.errors import InputError, ModelRefused, ModelUnreachable
from mumath_agent.models.replicas import ReplicatedModel
from mumath_agent.protocols import CompletionRequest, OnText, Prompt
from mumath_agent.records import Completion, Execution, ExecutionStatus
from mumath_agent.testing import ScriptedModel
from mumath_agent.transcript import Transcript

pytestmark = pytest.mark.anyio


@dataclass(kw_only=True)
class Slow(ScriptedModel):
    """Answers when the test lets it."""

    go: anyio.Event = field(default_factory=anyio.Event)

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        await self.go.wait()
        return await ScriptedModel.complete(self, request, on_text)


async def ask(model: ReplicatedModel, prompt: Prompt = "?") -> str:
    return (await model.complete(CompletionRequest(prompt=prompt, max_tokens=9))).text


async def test_a_completion_goes_to_the_server_with_the_fewest_in_flight() -> None:
    slow, quick = Slow(texts=["slow"] * 9), ScriptedModel(texts=["quick"] * 9)
    model = ReplicatedModel([slow, quick])
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
    model = ReplicatedModel([away, ScriptedModel(texts=["here"] * 9)])
    assert [await ask(model, str(n)) for n in range(4)] == ["here"] * 4
    assert away.prompts == ["0"]


async def test_if_none_answers_that_is_said_and_all_are_asked_again_the_next_time() -> None:
    servers = [ScriptedModel(texts=[ModelUnreachable("away"), "back"]) for _ in range(2)]
    model = ReplicatedModel(servers)
    with pytest.raises(ModelUnreachable):
        await ask(model)
    assert await ask(model) == "back"


async def test_a_refusal_is_not_asked_of_another_server() -> None:
    other = ScriptedModel(texts=["yes"])
    with pytest.raises(ModelRefused):
        await ask(ReplicatedModel([ScriptedModel(texts=[ModelRefused("no")]), other]))
    assert other.prompts == []


async def test_servers_of_different_models_are_refused() -> None:
    model = ReplicatedModel([ScriptedModel(texts=[], name="a"), ScriptedModel(texts=[], name="b")])
    with pytest.raises(ModelRefused, match="a, b"):
        await model.warm_up()


async def test_a_text_goes_on_where_its_beginning_was_written() -> None:
    servers = [Slow(texts=[text] * 99) for text in ("one", "two")]
    model = ReplicatedModel(servers)
    for server in servers:
        server.go.set()
    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(_attempt, model, f"question {number}: ")
    begun = [{str(prompt)[:11] for prompt in server.prompts} for server in servers]
    assert not begun[0] & begun[1]
    assert [len(each) for each in begun] == [5, 5]


async def _attempt(model: ReplicatedModel, prompt: str) -> None:
    for turn in range(4):
        prompt += f"{await ask(model, prompt)}\noutput {turn}\n"


FENCED = "One.\n```python\nprint(1)\n```\n"


@pytest.mark.parametrize(
    ("dialect", "written"),
    [("fenced", FENCED), ("fenced-qwen", FENCED), ("fenced-numina", FENCED), ("blocks", "<|code|>print(1)")],
)
async def test_the_next_turn_of_every_dialect_is_known_again(dialect: str, written: str) -> None:
    texts = get_text_dialect(dialect)
    first, second = Slow(texts=["first"] * 9), ScriptedModel(texts=[written, "end"])
    model = ReplicatedModel([first, second])
    question = Transcript(question="?")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, model, "another question")  # goes to the first and stays there for now
        await anyio.wait_all_tasks_blocked()
        completion = await model.complete(
            CompletionRequest(prompt=texts.prompt(question), stop=texts.stop, max_tokens=9)
        )
        first.go.set()
    transcript = texts.with_completion(question, completion)
    output = Execution(status=ExecutionStatus.OK, stdout="1\n")
    transcript = texts.with_output(transcript, output, max_chars=99)
    assert await ask(model, texts.prompt(transcript)) == "end"


async def test_a_server_with_far_more_to_do_is_not_gone_back_to() -> None:
    busy, idle = Slow(texts=["busy"] * 99), ScriptedModel(texts=["idle"] * 99)
    model = ReplicatedModel([busy, idle])
    busy.go.set()
    texts = [f"{number} {await ask(model, f'{number} ')}" for number in range(9)]
    assert texts[0] == "0 busy" and not idle.prompts
    busy.go = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for text in texts:
            tasks.start_soon(ask, model, f"{text} and")
        await anyio.wait_all_tasks_blocked()
        assert len(idle.prompts) > 5
        busy.go.set()


async def test_a_server_that_rests_is_not_gone_back_to() -> None:
    away = ScriptedModel(texts=["began", ModelUnreachable("away")])
    model = ReplicatedModel([away, ScriptedModel(texts=["went on"] * 9)])
    text = "? " + await ask(model, "? ")
    assert await ask(model, f"{text} A") == await ask(model, f"{text} A B") == "went on"
    assert away.prompts == ["? ", "? began A"]


def test_no_server_is_an_error() -> None:
    with pytest.raises(InputError):
        ReplicatedModel([])
