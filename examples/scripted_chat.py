"""A chat model that plays a recorded conversation, in the place of a real one."""

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolCall
from langchain_core.outputs import ChatGeneration, ChatResult

Turn = str | AIMessage


class ScriptedChatModel(BaseChatModel):
    """A chat model that answers with the given turns; the conversation says which is next, so any process can go on."""

    turns: Sequence[Turn]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **settings: Any) -> "ScriptedChatModel":
        """Return the model itself: its turns are fixed."""
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        turn = self.turns[sum(message.type == "ai" for message in messages)]
        message = AIMessage(turn) if isinstance(turn, str) else turn
        return ChatResult(generations=[ChatGeneration(message=message.model_copy())])


def calls(*codes: str, name: str = "python", argument: str = "code") -> AIMessage:
    """Return a turn that asks for all these programs at once."""
    return AIMessage(
        "",
        tool_calls=[
            ToolCall(name=name, args={argument: code}, id=f"call {position}: {code}")
            for position, code in enumerate(codes)
        ],
    )
