"""Replay solutions that other projects published, and compare: their programs, their completions, their answers.

    recordings ─▶ cells   their programs run again (`mumath_agent.runs.replay`)   ┐
               ─▶ agent   their completions answer the prompts of our agent       ┴─ summary ─▶ figures ─ table

`outputs` finds the cause of each difference, `server` serves recorded completions to any client.
"""
