"""How well a checkpoint solves held-out problems: generate, run, continue, compare.

Owns a batched copy of the solving loop for use during training, where thousands of problems have to be tried in a
minute on one model in memory. Accuracies that are published come from the benchmarks and the solver instead. Programs
run in a bare Python process each: model text is never evaluated in this one, but nothing confines it further.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from finetune.tokenizer import load_tokenizer
from mumath_agent.dialects import Dialect, get_dialect
from mumath_agent.errors import InputError
from mumath_agent.records import Completion, Execution, ExecutionStatus, FinishReason
from mumath_agent.transcript import Kind, Transcript

_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
_BATCH = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A problem of known answer."""

    source: str
    text: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Counts over the problems of one source."""

    problems: int
    solved: int
    """The boxed answer is right."""
    output_right: int
    """The last executed output is right, whatever was boxed."""


def read_questions(path: Path, *, limit: int | None = None) -> list[Question]:
    """Rows with `question` and either `answer` or a `solution` that boxes it."""
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    return [
        Question(
            source=_kind(row.get("source", "unnamed")),
            text=row["question"],
            answer=str(row["answer"]) if "answer" in row else boxed(row["solution"]) or "",
        )
        for row in rows[:limit]
    ]


def _kind(source: str) -> str:
    """`template/change/gain` and `gsm8k-train/3517/varied` without what numbers single rows."""
    first, *rest = source.split("/")
    return f"{first}/{rest[0]}" if first == "template" else first


def evaluate(folder: Path, questions: Sequence[Question], *, turns: int = 3) -> dict[str, Score]:
    """Scores by source, and over all under "all"."""
    tokenizer = load_tokenizer(folder)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).train(False)
    transcripts = solve([question.text for question in questions], model, tokenizer, turns=turns)
    tried: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for question, transcript in zip(questions, transcripts, strict=True):
        outputs = [
            segment.text.removesuffix("```\n")
            for segment in transcript.segments
            if segment.kind is Kind.OUTPUT
        ]
        right = (
            equal(boxed(transcript.text), question.answer),
            equal(outputs[-1] if outputs else None, question.answer),
        )
        for source in ("all", question.source):
            tried[source].append(right)
    return {
        source: Score(
            problems=len(results),
            solved=sum(solved for solved, _ in results),
            output_right=sum(right for _, right in results),
        )
        for source, results in sorted(tried.items())
    }


def solve(
    questions: Sequence[str],
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    *,
    turns: int,
    dialect_name: str = "fenced",
) -> list[Transcript]:
    """Greedy transcripts of at most `turns` turns."""
    dialect = get_dialect(dialect_name)
    transcripts = [Transcript(question=question) for question in questions]
    open_ones = list(range(len(questions)))
    for _ in range(turns):
        # Neighbours in length share a batch, so that little of it is padding.
        open_ones.sort(key=lambda index: len(dialect.prompt(transcripts[index])))
        for start in range(0, len(open_ones), _BATCH):
            indices = open_ones[start : start + _BATCH]
            texts = generate(
                [dialect.prompt(transcripts[index]) for index in indices], model, tokenizer, dialect
            )
            for index, completion in zip(indices, texts, strict=True):
                transcripts[index] = dialect.with_completion(transcripts[index], completion)
        open_ones = [index for index in open_ones if dialect.pending_code(transcripts[index]) is not None]
        for index in open_ones:
            execution = execute(dialect.pending_code(transcripts[index]) or "")
            transcripts[index] = dialect.with_output(transcripts[index], execution, max_chars=200)
    return transcripts


@torch.no_grad()
def generate(
    prompts: Sequence[str],
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    dialect: Dialect,
    *,
    max_new_tokens: int = 160,
) -> list[Completion]:
    """Greedy completions; the first stop string must be one token, so that it can end a row of the batch."""
    stop_id = tokenizer.convert_tokens_to_ids(dialect.stop[0])
    ends = [tokenizer.eos_token_id, stop_id]
    batch = tokenizer(
        list(prompts), add_special_tokens=False, padding=True, padding_side="left", return_tensors="pt"
    )
    columns = batch["input_ids"].shape[1]
    # No further than the positions the model was made for: what would not fit counts as cut off.
    room = max(1, min(max_new_tokens, model.config.max_position_embeddings - columns))
    ids = model.generate(  # type: ignore[misc]
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        max_new_tokens=room,
        do_sample=False,
        eos_token_id=ends,
        pad_token_id=tokenizer.pad_token_id,
    )[:, columns:].tolist()
    return [_completion(row, ends, tokenizer) for row in ids]


def _completion(ids: list[int], ends: list[int], tokenizer: PreTrainedTokenizerFast) -> Completion:
    end = next((position for position, token in enumerate(ids) if token in ends), None)
    return Completion(
        text=str(tokenizer.decode(ids[:end])),
        finish_reason=FinishReason.LENGTH if end is None else FinishReason.STOP,
        prompt_tokens=0,
        completion_tokens=len(ids) if end is None else end + 1,
    )


def execute(program: str, *, timeout_s: float = 2.0) -> Execution:
    """Run a program in a Python process of its own."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        return Execution(status=ExecutionStatus.TIMEOUT)
    if done.returncode == 0:
        return Execution(status=ExecutionStatus.OK, stdout=done.stdout)
    return Execution(status=ExecutionStatus.ERROR, stdout=done.stdout, error=_error(done.stderr, program))


def _error(stderr: str, program: str) -> str:
    """The failing line and the error, in the words of the training data."""
    message = stderr.strip().rsplit("\n", 1)[-1]
    lines = program.splitlines()
    number = max((int(found) for found in re.findall(r'File "<string>", line (\d+)', stderr)), default=0)
    if not 1 <= number <= len(lines):
        return message
    return f"line {number}: {lines[number - 1]}\n{message}"


def boxed(text: str) -> str | None:
    """What the last box of `text` holds."""
    found: list[str] = _BOXED.findall(text)
    return found[-1] if found else None


def equal(found: str | None, answer: str) -> bool:
    """Are these the same number? False for anything that is none."""
    try:
        value, target = float((found or "").replace(",", "")), float(answer.replace(",", ""))
    except ValueError:
        return False
    return abs(value - target) <= 1e-4 * max(1.0, abs(target))


def table(scores: dict[str, Score]) -> Iterable[str]:
    """The scores as lines of text."""
    for source, score in scores.items():
        yield (
            f"{source:40} n={score.problems:5}  solved {100 * score.solved / score.problems:5.1f} %  "
            f"output right {100 * score.output_right / score.problems:5.1f} %"
        )
