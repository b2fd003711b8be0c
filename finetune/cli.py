"""Name the commands of `python -m finetune`."""

import typer

from finetune.commands.ablating import ablations
from finetune.commands.all import embedded, run_all
from finetune.commands.augmenting import augment, seeds
from finetune.commands.exporting import card, export, verify
from finetune.commands.problems import corpus, held_out
from finetune.commands.scaling import on_ray
from finetune.commands.selecting import overlap, select
from finetune.commands.synthesizing import synthesize
from finetune.commands.training import audit, bench_packing, evaluate, tokenizer, train
from mumath_agent.commands import console

app = typer.Typer(
    help="Make training data and train models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("all")(run_all)
for command in (embedded, held_out, seeds, augment, synthesize, select, overlap, corpus):
    app.command()(command)
for command in (tokenizer, audit, train, evaluate, export, verify, card, ablations, bench_packing):
    app.command()(command)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(on_ray)


def main() -> None:
    """Run a command of `python -m finetune`."""
    console.main(app)
