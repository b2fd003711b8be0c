"""Select a teacher: the model that a server serves, or one of this machine, for raw text or for chats.

Our prompts are raw text. A teacher that only chats gets one as a single message of the user, which instructions and
examples survive; conversations (of the chat dialect) go as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mumath_agent.concurrency import in_thread
from mumath_agent.models.select import local_model, model_at
from mumath_agent.protocols import CompletionModel, CompletionRequest, Conversation, Message, OnText, Role
from mumath_agent.records import Completion


async def teacher_at(
    base_urls: Sequence[str], name: str | None, *, chat: bool, local: str | None = None
) -> CompletionModel:
    """Return the model that these servers serve, or the GGUF model `local`; the API key comes from the environment.

    Raises:
        InputError: no address is given, one isn't an address, or the local model can't be used.
        ModelUnreachable, ModelRefused: the server doesn't tell what it serves.
    """
    dialect = "chat" if chat else "fenced"
    if local:
        selected = await in_thread(lambda: local_model(local, dialect))
    else:
        selected = await model_at(base_urls, name, dialect)
    return Chatting(selected.model) if chat else selected.model


@dataclass(frozen=True, slots=True)
class Chatting:
    """A chat model that takes raw text as well; implements `CompletionModel`."""

    model: CompletionModel

    @property
    def name(self) -> str:
        """Return the served model's name."""
        return self.model.name

    async def warm_up(self) -> None:
        """See `CompletionModel.warm_up`."""
        await self.model.warm_up()

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """See `CompletionModel.complete`."""
        if isinstance(request.prompt, str):
            message = Message(role=Role.USER, text=request.prompt)
            request = replace(request, prompt=Conversation(messages=(message,)))
        return await self.model.complete(request, on_text)

    async def aclose(self) -> None:
        """See `CompletionModel.aclose`."""
        await self.model.aclose()
