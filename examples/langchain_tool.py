"""An agent with a tool that solves mathematics by executed Python.

    python examples/langchain_tool.py

MODEL names the agent's chat model, e.g. "openai:gpt-5"; without it the example plays a recorded conversation. The
tool's own model is the embedded one, which is small, unless MUMATH_BASE_URL is the address of a server.
"""

import os

from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from scripted_chat import ScriptedChatModel, calls

from mumath_agent.langchain import MuMathTool

QUESTION = "Tom has 3 apples and buys 4 more. How many apples does Tom have?"
RECORDED = ScriptedChatModel(
    turns=[calls(QUESTION, name="solve_math", argument="question"), "Tom has 7 apples."]
)

with MuMathTool() as tool:
    model = init_chat_model(os.environ["MODEL"]) if "MODEL" in os.environ else RECORDED
    agent = create_agent(model, tools=[tool])
    for message in agent.invoke({"messages": [{"role": "user", "content": QUESTION}]})["messages"]:
        message.pretty_print()
