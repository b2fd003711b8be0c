"""The teacher of a stage: the model that others' servers serve, for raw text or for chats.

Prompts of this house are raw text. A teacher that only chats gets one as a single message of the user, which
instructions and examples survive; conversations (of the chat dialect) go as they are.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mumath_agent.errors import InputError
from mumath_agent.models.http.chat_completions import ChatCompletionsModel
from mumath_agent.models.replicas import API_KEY, ReplicatedModel, completions_model_at
from mumath_agent.protocols import CompletionModel, CompletionRequest, Conversation, Message, OnText, Role
from mumath_agent.records import Completion


def teacher_at(base_urls: Sequence[str], name: str | None, *, chat: bool) -> CompletionModel:
    """The model these servers serve; the API key comes from the environment.

    Raises:
        InputError: no address is given, one is none, or a chat's model has no name.
    """
    if not chat:
        return completions_model_at(base_urls, name)
    if name is None:
        raise InputError("--chat needs --model, the teacher's name on its server")
    key = os.environ.get(API_KEY)
    return Chatting(ReplicatedModel([ChatCompletionsModel(url, name, key) for url in base_urls]))


@dataclass(frozen=True, slots=True)
class Chatting:
    """A chat model that takes raw text as well; implements `CompletionModel`."""

    model: CompletionModel

    @property
    def name(self) -> str:
        return self.model.name

    async def warm_up(self) -> None:
        await self.model.warm_up()

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        if isinstance(request.prompt, str):
            message = Message(role=Role.USER, text=request.prompt)
            request = replace(request, prompt=Conversation(messages=(message,)))
        return await self.model.complete(request, on_text)

    async def aclose(self) -> None:
        await self.model.aclose()
