"""Tool-integrated mathematical reasoning: a model reasons, writes code, reads what it printed, and answers."""

__version__ = "0.1.0"
