"""Run a GGUF model on this machine: no server to start, no GPU needed.

    --local NAME ─▶ find ─▶ a file ─▶ plan (context, slots, threads) ─▶ engine.py, a process of its own ─▶ LocalModel

The engine is llama.cpp's server, from the wheel `xllamacpp` (extra `local`). It runs beside us, not within: a file that
makes it crash, or memory that ends, is then an error of one line. `catalogue` lists models that were tried.
"""

from mumath_agent.models.local.catalogue import CATALOGUE, Entry
from mumath_agent.models.local.find import find_model
from mumath_agent.models.local.gguf import GgufModel, read_gguf
from mumath_agent.models.local.model import Listening, LocalModel
from mumath_agent.models.local.plan import Plan, plan

__all__ = [
    "CATALOGUE",
    "Entry",
    "GgufModel",
    "Listening",
    "LocalModel",
    "Plan",
    "find_model",
    "plan",
    "read_gguf",
]
