"""An agent that computes in an isolated Python session, asks before each program, and outlives its process.

    python examples/langchain_agent.py "What is the sum of the digits of 2^100?"
    python examples/langchain_agent.py

The first command asks; the second goes on where the first one was left, ended or killed. Between them everything the
agent said and ran is in `agent.sqlite`, and its Python session is rebuilt by running the same programs again.

MODEL names a chat model that LangChain knows, e.g. "openai:gpt-5" (with langchain-openai installed); without it the
example plays a recorded conversation. It needs the extras `langchain` and `durable`.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware, ToolCallLimitMiddleware
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command
from scripted_chat import ScriptedChatModel, calls

from mumath_agent.langchain import MuMathMiddleware

RECORDED = ScriptedChatModel(
    turns=[
        calls("digits = [int(d) for d in 2**100]"),
        calls("digits = [int(d) for d in str(2**100)]\nprint(len(digits))"),
        calls("print(sum(digits))"),
        "The digits of 2^100 add up to 115.",
    ]
)
THREAD: Any = {"configurable": {"thread_id": "example"}}


def main() -> None:
    """Put the question to the agent, or go on with the last one, and answer what the agent asks until it is done."""
    options = argparse.ArgumentParser()
    options.add_argument("question", nargs="?")
    options.add_argument("--database", default="agent.sqlite")
    arguments = options.parse_args()
    if not arguments.question and not Path(arguments.database).exists():
        options.error(f"give a question; {arguments.database}, to go on with one, isn't there")
    with SqliteSaver.from_conn_string(arguments.database) as checkpointer:
        agent = create_agent(
            chat_model(),
            middleware=[
                MuMathMiddleware(),
                HumanInTheLoopMiddleware({"python": {"allowed_decisions": ["approve", "reject"]}}),
                ToolCallLimitMiddleware(tool_name="python", run_limit=10),
            ],
            checkpointer=checkpointer,
        )
        if arguments.question:
            agent.invoke({"messages": [{"role": "user", "content": arguments.question}]}, THREAD)
        elif not agent.get_state(THREAD).next:
            options.error(f"give a question; {arguments.database} holds none to go on with")
        while (state := agent.get_state(THREAD)).next:
            # Without an interrupt, the agent was killed at work: None goes on.
            step = decision(state.interrupts[0].value) if state.interrupts else None
            agent.invoke(step, THREAD)
            print_output(agent.get_state(THREAD).values["messages"])


def chat_model() -> BaseChatModel:
    """Return the model that MODEL names, or the recorded conversation."""
    return init_chat_model(os.environ["MODEL"]) if "MODEL" in os.environ else RECORDED


def decision(asked: dict[str, Any]) -> Command[Any]:
    """Ask the user about the program that the agent wants to run."""
    print(asked["action_requests"][0]["args"]["code"])
    try:
        answer = input("Run it? Enter, or say why not: ")
    except EOFError:
        raise SystemExit("\nleft waiting; the same command without a question continues") from None
    said = {"type": "reject", "message": answer} if answer else {"type": "approve"}
    return Command(resume={"decisions": [said]})


def print_output(messages: list[Any]) -> None:
    """Print what the last program printed, and what the agent says."""
    *earlier, last = messages
    if earlier[-1].type == "tool":
        print(f"-> {earlier[-1].text}")
    print(last.text)


if __name__ == "__main__":
    main()
