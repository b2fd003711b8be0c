"""Name the commands of `python -m finetune`."""

from finetune.commands.ablating import ablations
from finetune.commands.all import embedded, run_all
from finetune.commands.augmenting import augment, seeds
from finetune.commands.exporting import calibrate, card, export, verify
from finetune.commands.learning import grpo, prefer, rft
from finetune.commands.problems import corpus, held_out, mix
from finetune.commands.scaling import on_ray
from finetune.commands.selecting import overlap, select
from finetune.commands.synthesizing import synthesize
from finetune.commands.training import audit, bench_packing, bench_recipe, evaluate, prune, tokenizer, train
from mumath_agent.commands import console
from mumath_agent.commands.program import add, program

app = program()
add(app, run_all, "all")
for command in (embedded, held_out, seeds, augment, synthesize, select, overlap, corpus, mix):
    add(app, command)
for command in (
    tokenizer,
    prune,
    audit,
    train,
    rft,
    grpo,
    prefer,
    evaluate,
    export,
    verify,
    calibrate,
    card,
    ablations,
    bench_packing,
    bench_recipe,
):
    add(app, command)
add(app, on_ray, passes_on=True)


def main() -> None:
    """Run a command of `python -m finetune`."""
    console.main(app)


@app.callback()
def _root() -> None:
    """Make training data and train models."""
