"""The whole pipeline as a list of steps, each of them a command of this program that may also be given by hand.

    seeds ─▶ augment ─▶ synthesize ─▶ select ─▶ tokenizer ─▶ audit ─▶ train ─▶ export ─▶ verify ─▶ benchmarks ─▶ card

Rules augment, the embedded model and the questions' own solutions teach, and what is measured are problems of template
schemas that no step has seen. Done, written down and gone on with by `ledger`. The benchmarks are another program and
run as one.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from finetune.data.augment.programs import decimal
from finetune.data.jobs import sha256
from finetune.pipeline.steps import Call, Ended, Ledger, Step
from finetune.wordproblems.load import stories
from mumath_agent import __version__
from mumath_agent.records import Problem
from mumath_agent.serving import serving

SERVER = "vLLM, beside these"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of everything."""

    seeds: int
    """Of each source."""
    samples: int
    """Programs a question."""
    vocabulary: int
    recipe: str
    max_tokens: int
    """The recipe's."""
    held_out: int
    """Problems to measure with."""


SIZES = {
    "tiny": Size(seeds=24, samples=2, vocabulary=600, recipe="tiny", max_tokens=256, held_out=8),
    "small": Size(seeds=480, samples=2, vocabulary=1024, recipe="small", max_tokens=384, held_out=200),
}
"""tiny: whether everything works. small: a model that solves some of its problems."""


_MAKING = """
held-out                     | held-out --out W/held-out.jsonl --size HELD_OUT
seeds                        | seeds --out W/seeds.jsonl --own SEEDS --limit SEEDS --not-in W/held-out.jsonl GSM8K
augment                      | augment W/seeds.jsonl --out W/augmented.jsonl --rules --perspective RULES
synthesize cot, seeds        | synthesize W/seeds.jsonl --out W/cot-seeds.jsonl --format cot --teacher own
synthesize cot, augmented    | synthesize W/augmented.jsonl --out W/cot-augmented.jsonl --format cot --teacher own
select cot                   | select W/cot-seeds.jsonl W/cot-augmented.jsonl --out W/cot.jsonl --format cot AGAINST
synthesize code, seeds       | synthesize W/seeds.jsonl --out W/code-seeds.jsonl --format code TEACHER
synthesize code, augmented   | synthesize W/augmented.jsonl --out W/code-augmented.jsonl --format code TEACHER
select code                  | select W/code-seeds.jsonl W/code-augmented.jsonl --out W/code.jsonl --format code AGAINST
tokenizer                    | tokenizer W/cot.jsonl W/code.jsonl --out W/tokenizer --vocab-size VOCABULARY
audit                        | audit W/code.jsonl --tokenizer W/tokenizer --max-tokens MAX_TOKENS
train                        | train RECIPE DATA --start W/tokenizer --out W/model
export                       | export W/model/stage2 --out W/exported DATA
"""
_MEASURING = """
verify                       | verify W/exported SERVER
benchmarks                   | run W/held-out.jsonl --out W/run --max-new-tokens 256 --concurrency 4 ENGINE
card                         | card W/exported --checkpoint W/model/stage2 DATA --run W/run
"""
_SHORT = {
    "RULES": "rephrase,fobar,alteration_new_numbers,alteration_new_context,expression_replacement",
    "TEACHER": "--teacher embedded --samples SAMPLES --temperature 0.8 --max-new-tokens 256 --concurrency 4",
    "AGAINST": "--against W/held-out.jsonl",
    "DATA": "--data W/cot.jsonl --data W/code.jsonl",
}
"""W is the work folder; other words in capitals are a `Size`'s, the engine's, or these."""


def making(size: Size, work: Path, gsm8k: Path | None) -> tuple[Step, ...]:
    """From nothing to an exported folder."""
    amounts = {name.upper(): (str(value),) for name, value in asdict(size).items()}
    return _steps(_MAKING, work, amounts | {"GSM8K": ("--gsm8k", str(gsm8k)) if gsm8k else ()})


def measuring(work: Path, base_url: str | None) -> tuple[Step, ...]:
    """Of the exported folder: do its engines agree, what does it solve, and a card that says so."""
    server = ("--base-url", base_url) if base_url else ()
    engine = server or ("--weights", str(work / "exported"))
    return _steps(_MEASURING, work, {"SERVER": server, "ENGINE": engine})


def run(
    size: Size,
    work: Path,
    *,
    gsm8k: Path | None,
    vllm: Path | None,
    call: Call,
    on_begin: Callable[[str], None],
    on_end: Callable[[Ended], None],
) -> tuple[Ended, ...]:
    """Do all steps that are not done.

    `on_begin` hears of each step that is begun, `on_end` of each that has ended, also in an earlier call.

    Raises:
        InputError: the folder was begun with other settings.
        StepFailed: a step ended with an error; the same call goes on from there.
    """
    ledger = Ledger(work, _identity(size, gsm8k), call, on_begin=on_begin, on_end=on_end)
    for step in making(size, work, gsm8k):
        ledger.do(step)
    if vllm is None or all(ledger.has(step.name) for step in measuring(work, None)):
        for step in measuring(work, None):
            ledger.do(step)
        ledger.repeat(SERVER)
    else:
        log = work / "logs" / "vllm.log"
        server = serving(work / "exported", python=vllm, name="mumath", dtype="float32", log=log)
        with ledger.clocked(SERVER), server as url:
            for step in measuring(work, url):
                ledger.do(step)
    return ledger.ended


def held_out_problems(size: int, *, seed: int = 0) -> Iterator[Problem]:
    """Problems of template schemas that are kept out of seeds and of the embedded model's training."""
    schemas, rng = stories(held_out=True), Random(f"held out {seed}")
    for number in range(size):
        problem = rng.choice(schemas).problem(rng)
        target = decimal(problem.answer)
        yield Problem(id=f"held-out-{seed}-{number}", question=problem.question, target=target)


def _identity(size: Size, gsm8k: Path | None) -> dict[str, str]:
    """What the work folder's content depends on."""
    return {"size": str(size), "gsm8k": sha256(gsm8k) if gsm8k else "none", "version": __version__}


def _steps(table: str, work: Path, words: Mapping[str, tuple[str, ...]]) -> tuple[Step, ...]:
    rows = (line.partition("|") for line in table.strip().splitlines())
    return tuple(_step(name.strip(), command, work, words) for name, _, command in rows)


def _step(name: str, written: str, work: Path, words: Mapping[str, tuple[str, ...]]) -> Step:
    for short, long in _SHORT.items():
        written = written.replace(short, long)
    command: list[str] = []
    for word in written.split():
        command += words.get(word, (str(work / word[2:]) if word.startswith("W/") else word,))
    out = Path(command[command.index("--out") + 1]) if "--out" in command else None
    return Step(
        name=name,
        command=tuple(command),
        out=out,
        program="benchmarks" if name == "benchmarks" else "finetune",
        says="masked" if name == "audit" else "",
    )
