"""Write a conversation as OpenAI's protocol does; LangChain reads that, too."""

import json
from typing import Any

from mumath_agent.dialects.calls import PYTHON
from mumath_agent.dialects.reasoning import with_reasoning
from mumath_agent.protocols import Conversation, Message, Role, ToolCall

TOOL = {
    "type": "function",
    "function": {
        "name": PYTHON,
        "description": "Run a Python program and get what it prints.",
        "parameters": {
            "type": "object",
            "properties": {"code": {"type": "string", "description": "The program."}},
            "required": ["code"],
        },
    },
}
"""The one tool that a chat model gets, as JSON schema."""

NOT_RUN = "The program was not run."


def wire_messages(conversation: Conversation, thinks_in: str | None = None) -> list[dict[str, Any]]:
    """Return the messages as OpenAI's protocol writes them; LangChain reads them, too.

    Every call gets an answer, for servers refuse a conversation without.

    Args:
        conversation: the messages.
        thinks_in: the field for thoughts; without one they stand in the text, in tags, as models without a field write.
    """
    written, calls, open_calls = list[dict[str, Any]](), 0, list[str]()
    for message in conversation.messages:
        if message.role is not Role.TOOL:
            written += [_tool_message(call, NOT_RUN) for call in open_calls]
            open_calls = []
            made = [*message.failed_calls, *_python_call(message)]
            open_calls = [f"call{number:05}" for number in range(calls + 1, calls + len(made) + 1)]
            calls += len(made)
            written.append(_wire_message(message, made, open_calls, thinks_in))
        elif open_calls:
            written.append(_tool_message(open_calls.pop(0), message.text))
    return written


def _python_call(message: Message) -> list[ToolCall]:
    code = message.code
    return [] if code is None else [ToolCall(name=PYTHON, arguments=json.dumps({"code": code}))]


def _tool_message(call: str, text: str) -> dict[str, Any]:
    return {"role": Role.TOOL.value, "content": text, "tool_call_id": call}


def _wire_message(
    message: Message, calls: list[ToolCall], names: list[str], thinks_in: str | None
) -> dict[str, Any]:
    text = message.text if thinks_in else with_reasoning(message.reasoning, message.text)
    written: dict[str, Any] = {"role": message.role.value, "content": text}
    if thinks_in and message.reasoning:
        written[thinks_in] = message.reasoning
    if calls:
        written["tool_calls"] = [
            {
                "id": name,
                "type": "function",
                "function": {"name": call.name, "arguments": _as_json(call.arguments)},
            }
            for name, call in zip(names, calls, strict=True)
        ]
    return written


def _as_json(arguments: str) -> str:
    """Return arguments that a server can read: many parse those of the history, and fail on what isn't an object."""
    try:
        readable = isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        readable = False
    return arguments if readable else json.dumps({"code": arguments}, ensure_ascii=False)
