"""Make and measure a model, from nothing to a folder with a card: the recipe of everything, in one list of calls.

    held-out ─▶ seeds ─▶ augment ─▶ synthesize ─▶ select ─▶ tokenizer ─▶ audit ─▶ train ─▶ export ─▶ verify ─▶
    benchmarks ─▶ card

Rules augment; the embedded model and the questions' own solutions teach. A plan of word problems has training rows
without any of that. A plan with given rows begins with a given model, which is made smaller in place of learning a
tokenizer. What is measured are problems of template schemas that no other step has seen. `Steps` writes down
what is done. The benchmarks are another program, and run as one.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from finetune.data.augment.perspectives import Perspective
from finetune.data.augment.stage import AugmentConfig, augment
from finetune.data.corpus import CorpusConfig, corpus
from finetune.data.held_out import write_held_out
from finetune.data.jobs import sha256
from finetune.data.records import SolutionFormat
from finetune.data.seeds import SeedsConfig, seeds
from finetune.data.select.stage import SelectConfig, select
from finetune.data.synthesize import SynthesizeConfig, synthesize
from finetune.pipeline.plans import Given, Plan, Synthesis, WordProblems
from finetune.pipeline.steps import StepFailed, StepReport, Steps
from finetune.release.agreement import compare_engines
from finetune.release.card import NAME, read_evaluation, write_card
from finetune.release.export import Weights
from finetune.release.folder import release
from finetune.training.audit import audit
from finetune.training.encode import read_rows
from finetune.training.pruning import prune
from finetune.training.recipe import Recipe, read_stages
from finetune.training.stages import train_stages
from finetune.training.tokenizer import load_tokenizer
from finetune.training.vocabulary import learn_tokenizer
from mumath_agent import __version__
from mumath_agent.agent.solver import SolverOptions
from mumath_agent.dialects import get_text_dialect
from mumath_agent.records import Limits, Sampling, to_json
from mumath_agent.runs.locks import only_user
from mumath_agent.serving import serving

CHECKOUT = Path(__file__).resolve().parents[2]
SERVER = "vLLM, beside these"
RULES = (
    Perspective.REPHRASE,
    Perspective.FOBAR,
    Perspective.NEW_NUMBERS,
    Perspective.NEW_CONTEXT,
    Perspective.EXPRESSION_REPLACEMENT,
)
MAX_NEW_TOKENS = 256
"""Limit of a completion. The models are small, and so are their problems."""
CONCURRENCY = 4


def run(
    plan: Plan,
    work: Path,
    *,
    gsm8k: Path | None = None,
    vllm: Path | None = None,
    on_begin: Callable[[str], None] = lambda name: None,
    on_end: Callable[[StepReport], None] = lambda report: None,
) -> tuple[StepReport, ...]:
    """Do all steps of a plan that aren't done.

    Args:
        plan: what to make.
        work: folder of everything that is made; the model is in work/exported.
        gsm8k: GSM8K's train.jsonl, for seeds or word problems beside our own.
        vllm: Python of an environment with vLLM, to serve the model; else the embedded engine runs it.
        on_begin: is told the name of each step that is begun.
        on_end: is told of each step that has ended, also in an earlier call.

    Raises:
        InputError: the folder was begun with another plan, GSM8K or version.
        StepFailed: a step ended with an error; the same call goes on from there.
    """
    identity = {
        "plan": to_json(plan),
        "gsm8k": sha256(gsm8k) if gsm8k else None,
        "version": __version__,
    }
    if isinstance(plan.rows, Given):
        identity["files"] = {str(path): sha256(path) for path in plan.rows.files}
    with only_user(work):
        steps = Steps(work, identity, on_begin=on_begin, on_end=on_end)
        make(plan, work, steps, gsm8k=gsm8k)
        measure(plan, work, steps, vllm=vllm)
        return steps.reports


def make(plan: Plan, work: Path, steps: Steps, *, gsm8k: Path | None = None) -> None:
    """Make the model, from nothing to the exported folder."""
    held_out, model = work / "held-out.jsonl", work / "model"
    data, recipes, rows = training_rows(plan, work), read_stages(Path(plan.recipe)), plan.rows
    start = work / ("base" if isinstance(rows, Given) else "tokenizer")
    steps.do("held-out", lambda: _held_out(held_out, plan.held_out))
    if isinstance(rows, Given):
        steps.do("prune", lambda: _prune(rows, start))
    elif isinstance(rows, Synthesis):
        _synthesize(rows, work, steps, held_out=held_out, gsm8k=gsm8k)
    else:
        _write_corpora(rows, work, steps, gsm8k=gsm8k)
    if not isinstance(rows, Given):
        steps.do("tokenizer", lambda: _tokenizer(data, start, plan.vocabulary))
    steps.do("audit", lambda: _audit(data[-1], start, recipes[-1]))
    steps.do("train", lambda: _train(recipes, data, start=start, out=model))
    steps.do("export", lambda: _export(model / "stage2", work / "exported", data, Weights(plan.weights)))


def measure(plan: Plan, work: Path, steps: Steps, *, vllm: Path | None = None) -> None:
    """Measure the exported folder: do its engines agree, and what does it solve? Its card says so."""
    exported, runs = work / "exported", work / "run"
    with _serve(exported, steps, vllm) as base_url:
        steps.do("verify", lambda: _verify(exported, base_url))
        steps.do("benchmarks", lambda: _benchmark(work / "held-out.jsonl", runs, exported, base_url))
        data = training_rows(plan, work)
        steps.do("card", lambda: _card(exported, work / "model" / "stage2", data=data, run=runs))


def _synthesize(plan: Synthesis, work: Path, steps: Steps, *, held_out: Path, gsm8k: Path | None) -> None:
    """Have teachers write the rows of both stages: solutions in words, then with programs."""
    own, augmented, (cot, code) = work / "seeds.jsonl", work / "augmented.jsonl", _data(work)
    programs = SolverOptions(
        limits=Limits(max_new_tokens=MAX_NEW_TOKENS), sampling=Sampling(temperature=0.8, seed=0)
    )

    def in_words(questions: Path) -> SynthesizeConfig:
        out = work / f"cot-{questions.name}"
        return SynthesizeConfig(questions=questions, out=out, format=SolutionFormat.COT, own=True)

    def with_programs(questions: Path) -> SynthesizeConfig:
        return SynthesizeConfig(
            questions=questions,
            out=work / f"code-{questions.name}",
            solver=programs,
            samples=plan.samples,
            concurrency=CONCURRENCY,
        )

    def best(out: Path, format: SolutionFormat) -> SelectConfig:
        attempts = tuple(work / f"{format}-{questions.name}" for questions in (own, augmented))
        return SelectConfig(attempts=attempts, out=out, format=format, against=(held_out,))

    seed_config = SeedsConfig(out=own, own=plan.seeds, gsm8k=gsm8k, limit=plan.seeds, not_in=(held_out,))
    steps.run("seeds", seeds, seed_config)
    steps.run("augment", augment, AugmentConfig(questions=own, out=augmented, perspectives=RULES))
    steps.run("synthesize cot, seeds", synthesize, in_words(own))
    steps.run("synthesize cot, augmented", synthesize, in_words(augmented))
    steps.run("select cot", select, best(cot, SolutionFormat.COT))
    steps.run("synthesize code, seeds", synthesize, with_programs(own))
    steps.run("synthesize code, augmented", synthesize, with_programs(augmented))
    steps.run("select code", select, best(code, SolutionFormat.CODE))


def _write_corpora(plan: WordProblems, work: Path, steps: Steps, *, gsm8k: Path | None) -> None:
    """Write the rows of both stages from word problems."""
    cot, code = _data(work)
    thought_rows = CorpusConfig(out=cot, stage=1, size=plan.thought_rows, gsm8k=gsm8k)
    code_rows = CorpusConfig(out=code, stage=2, size=plan.code_rows, gsm8k=gsm8k)
    steps.do("corpus cot", lambda: corpus(thought_rows).rows)
    steps.do("corpus code", lambda: corpus(code_rows).rows)


def training_rows(plan: Plan, work: Path) -> tuple[Path, Path]:
    """Return the files of the rows of stage 1 and of stage 2."""
    if isinstance(plan.rows, Given):
        cot, code = plan.rows.data
        return Path(cot), Path(code)
    return _data(work)


def _data(work: Path) -> tuple[Path, Path]:
    return work / "cot.jsonl", work / "code.jsonl"


def _held_out(out: Path, size: int) -> str:
    write_held_out(out, size=size)
    return f"{out.name}: {size:,} problems"


def _prune(given: Given, out: Path) -> str:
    texts = tuple(map(Path, (*given.data, *given.keep_text)))
    found = prune(
        given.start,
        out,
        texts=texts,
        min_count=given.min_count,
        keep_first=given.keep_first,
        drop_layers=given.drop_layers,
    )
    return f"{out.name}: {found.summary}"


def _tokenizer(data: Sequence[Path], out: Path, vocabulary: int) -> str:
    return f"{out.name}: {learn_tokenizer(data, out, vocab_size=vocabulary)} tokens"


def _audit(data: Path, tokenizer: Path, recipe: Recipe) -> str:
    dialect = get_text_dialect(recipe.dialect)
    return audit(read_rows(data), load_tokenizer(tokenizer), dialect, max_tokens=recipe.max_tokens).summary


def _train(recipes: Sequence[Recipe], data: Sequence[Path], *, start: Path, out: Path) -> str:
    *_, last = train_stages(recipes, data, start=start, out=out)
    return f"{out.name}/{last.name}: done"


def _export(checkpoint: Path, out: Path, data: Sequence[Path], weights: Weights) -> str:
    return f"{out.name}: {release(checkpoint, out, data=data, weights=weights).size}"


def _verify(exported: Path, base_url: str | None) -> str:
    agreement = compare_engines(exported, base_url=base_url)
    if not agreement.is_expected:
        raise StepFailed(agreement.summary)
    return agreement.summary


def _benchmark(problems: Path, out: Path, exported: Path, base_url: str | None) -> str:
    """Run the benchmarks' program on the held-out problems, and read the attempts it leaves."""
    engine = ("--base-url", base_url) if base_url else ("--weights", str(exported))
    limits = ("--max-new-tokens", str(MAX_NEW_TOKENS), "--concurrency", str(CONCURRENCY))
    command = (sys.executable, "-m", "benchmarks", "run", str(problems), "--out", str(out), *limits, *engine)
    print("$", *command, flush=True)
    code = subprocess.run(command, stdout=sys.stdout, stderr=subprocess.STDOUT, cwd=CHECKOUT).returncode
    if code != 0:
        raise StepFailed(f"`{' '.join(command[1:4])}` ended with exit code {code}")
    found = read_evaluation(out)
    low, high = found.interval
    return f"{out.name}: {found.accuracy:.1%} right ({low:.1%} to {high:.1%})"


def _card(exported: Path, checkpoint: Path, *, data: Sequence[Path], run: Path) -> str:
    write_card(exported, checkpoint, data=data, run=run)
    return f"{exported.name}/{NAME}"


@contextmanager
def _serve(exported: Path, steps: Steps, vllm: Path | None) -> Iterator[str | None]:
    """Serve the model with vLLM, if it is there and something is left to measure; yield the address."""
    if vllm is None or steps.has("card"):
        yield None
        steps.repeat(SERVER)
        return
    server = serving(exported, python=vllm, name="mumath", dtype="float32", log=steps.log("vllm"))
    with steps.clocked(SERVER), server as base_url:
        yield base_url
