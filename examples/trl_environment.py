"""Train a chat model that calls tools with TRL's GRPO; the tool is an isolated Python session.

    python examples/trl_environment.py Qwen/Qwen3-0.6B problems.jsonl --out runs/trl

The model's chat template must be one that TRL knows how to call tools with. It wants an environment with TRL:
pip install trl==1.16.0 mumath-agent
"""

import argparse
from pathlib import Path

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from mumath_agent.environment import PythonEnvironment, boxed_reward
from mumath_agent.problems import load_problems

ASKED = "{}\nPut the final answer within \\boxed{{}}."


def main() -> None:
    """Train, and say how each step's rewards were and how often a completion called the tool."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", help="Folder of a model, or its name on the hub.")
    parser.add_argument("problems", type=Path, help="Problems with answers, in a file as for `solve --file`.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--groups", type=int, default=4, help="Questions a step.")
    parser.add_argument("--samples", type=int, default=4, help="Attempts a question.")
    parser.add_argument("--tokens", type=int, default=512, help="Tokens per attempt, outputs included.")
    parser.add_argument("--cpu", action="store_true", help="Use no GPU.")
    given = parser.parse_args()
    rows = [
        {"prompt": [{"role": "user", "content": ASKED.format(one.question)}], "answer": one.target}
        for one in load_problems(given.problems)
    ]
    trainer = GRPOTrainer(
        model=given.model,
        args=GRPOConfig(
            output_dir=str(given.out),
            max_steps=given.steps,
            per_device_train_batch_size=given.groups * given.samples,
            num_generations=given.samples,
            max_completion_length=given.tokens,
            max_tool_calling_iterations=4,
            learning_rate=1e-5,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=given.cpu,
        ),
        train_dataset=Dataset.from_list(rows),
        environment_factory=PythonEnvironment,
        reward_funcs=boxed_reward,
    )
    trainer.train()
    trainer.save_model(str(given.out))
    for line in trainer.state.log_history:
        if "reward" in line:
            calls = line["tools/call_frequency"]
            print(
                f"step {line['step']}: reward {line['reward']:.3f}, calls {calls:.2f}, loss {line['loss']:.4f}"
            )


if __name__ == "__main__":
    main()
