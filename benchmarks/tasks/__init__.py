"""Define the tasks: where each comes from, and which words of a transcript are scored.

    registry  one entry a task: source, revision, licence, size
    rows      how a row of a public file becomes question, gold answer and tags
    rules     which answer of a transcript is scored
    task      the records these are written with

Adding a set takes one entry and, where no row function fits, one row function. `loaders` fetches the rows, and the
grader compares answers.
"""

from benchmarks.tasks.registry import TASKS, get_task
from benchmarks.tasks.task import GitHub, Hub, Part, Task

__all__ = ["TASKS", "GitHub", "Hub", "Part", "Task", "get_task"]
