"""Define the records a task is written with. They say where its rows are; `loaders` fetches them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.tasks.rules import LAST_ANSWER, AnswerRule
from mumath_agent.records import Answer
from mumath_agent.transcript import Transcript

Row = Mapping[str, object]
"""A row as the public file has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A row as a question with its gold answer."""

    question: str
    """All that a model is shown, including table, choices and context."""
    target: str
    """The gold answer, as the grader reads it."""
    id: str | None = None
    """The set's own name for it; None: the number of its row becomes its id."""
    tags: tuple[str, ...] = ()
    """`level:3`, `type:Algebra`: what a report can group by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """A data set of the Hugging Face hub."""

    repository: str
    revision: str | None
    """A commit hash. None: none is known, so what the main branch holds that day is loaded, and a remark says so."""
    split: str
    configs: tuple[str | None, ...] = (None,)
    """Loaded one after the other."""

    @property
    def address(self) -> str:
        """Name and revision, as reports show them."""
        return f"{self.repository}@{self.revision or 'main'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHub:
    """A file of a repository on GitHub."""

    repository: str
    revision: str | None
    """See `Hub.revision`."""
    path: str

    @property
    def address(self) -> str:
        """Name and revision, as reports show them."""
        return f"github.com/{self.repository}@{self.revision or 'main'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A file's worth of problems."""

    name: str
    remote: Hub | GitHub
    files: tuple[str, ...] = ()
    """Names its file may have in a folder of benchmark files, besides the usual ones."""

    @property
    def file_names(self) -> tuple[str, ...]:
        """Where to look in such a folder; the first file that is there is read."""
        usual = (
            f"{self.name}/test.jsonl",
            f"{self.name}/test.json",
            f"{self.name}.jsonl",
            f"{self.name}.json",
        )
        return (*self.files, *usual)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A set of problems with known answers, and how they are scored."""

    name: str
    title: str
    paper: str
    """Where it was published."""
    licence: str
    problems: int
    """How many the papers measure on; with another number it is another benchmark."""
    parts: tuple[Part, ...]
    read: Callable[[Row], Item | None]
    """A row's question and gold answer; None: the papers leave this row out.

    Raises InputError for a row that is not of a known form.
    """
    rule: AnswerRule = LAST_ANSWER

    def answer_of(self, transcript: Transcript) -> Answer | None:
        """Return the answer of a transcript that is scored."""
        return self.rule.answer_of(transcript)
