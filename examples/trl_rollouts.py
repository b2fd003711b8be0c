"""Train a model with TRL's GRPO on attempts that this project's own loop makes, in raw text.

    python examples/trl_rollouts.py runs/model problems.jsonl --out runs/trl

The model is a folder whose format is a raw dialect's and which the embedded engine runs, so there is no server: before
each batch of attempts the trainer's weights are handed to the engine. It wants an environment with TRL and this
project's extra `finetune`: pip install trl==1.16.0 'mumath-agent[finetune]'
"""

import argparse
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from finetune.learning.policy import policy
from mumath_agent.problems import load_problems
from mumath_agent.records import Limits
from mumath_agent.rollouts import env_reward, rollout_func


def main() -> None:
    """Train, and say how each step's rewards were."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path, help="Folder of a model.")
    parser.add_argument("problems", type=Path, help="Problems with answers, in a file as for `solve --file`.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--groups", type=int, default=4, help="Questions a step.")
    parser.add_argument("--samples", type=int, default=4, help="Attempts a question.")
    parser.add_argument("--max-new-tokens", type=int, default=200, help="Tokens per completion.")
    given = parser.parse_args()
    problems = load_problems(given.problems)

    def attempts(prompts: list[str], trainer: Any) -> dict[str, list[Any]]:
        with policy(trainer.model, start=given.model, folder=given.out / "policy") as engine:
            limits = Limits(max_new_tokens=given.max_new_tokens)
            return rollout_func(problems, dialect="fenced", limits=limits, **engine)(prompts, trainer)

    size = given.groups * given.samples
    trainer = GRPOTrainer(
        model=str(given.model),
        args=GRPOConfig(
            output_dir=str(given.out),
            max_steps=given.steps,
            per_device_train_batch_size=size,
            num_generations=given.samples,
            temperature=1.0,
            learning_rate=1e-5,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
        ),
        train_dataset=Dataset.from_list([{"prompt": problem.question} for problem in problems]),
        rollout_func=attempts,
        reward_funcs=env_reward,
    )
    trainer.train()
    trainer.save_model(str(given.out))
    for line in trainer.state.log_history:
        if "reward" in line:
            print(f"step {line['step']}: reward {line['reward']:.3f}, loss {line['loss']:.4f}")


if __name__ == "__main__":
    main()
