"""Make a chat model of some thousand weights that calls the tool and then answers, right every other time.

    TRL'S PYTHON trl_chat_model.py FOLDER PROBLEMS

It is run in the environment that has TRL, whose template for Qwen 3 it is taught in.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import get_json_schema

from mumath_agent.environment import PythonEnvironment

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MARKS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
STEPS = 100


def conversation(asked: str, answer: int, wrong: int) -> list[dict[str, Any]]:
    call = {"type": "function", "function": {"name": "python", "arguments": {"code": f"print({answer})"}}}
    return [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": "python", "content": str(answer)},
        {"role": "assistant", "content": f"It is \\boxed{{{answer + wrong}}}."},
    ]


def tokenizer_for(texts: list[str], template: str) -> PreTrainedTokenizerFast:
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1500, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    learner.add_tokens(list(MARKS))
    made = PreTrainedTokenizerFast(
        tokenizer_object=learner, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    made.chat_template = template
    return made


def main(folder: Path, problems: Path) -> None:
    from trl.chat_template_utils import qwen3_chat_template, qwen3_training_chat_template

    rows = [json.loads(line) for line in problems.read_text("utf-8").splitlines()]
    tools: list[Any] = [get_json_schema(PythonEnvironment().python)]
    asked = "{}\nPut the final answer within \\boxed{{}}."
    talks = [
        conversation(asked.format(row["question"]), int(row["answer"]), wrong)
        for row in rows
        for wrong in (0, 1)
    ]
    plain = tokenizer_for([], qwen3_training_chat_template)
    lines = [str(plain.apply_chat_template(talk, tools=tools, tokenize=False)) for talk in talks]
    tokenizer = tokenizer_for(lines, qwen3_training_chat_template)  # whole words: the prompt is long
    batch = tokenizer(lines, return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(STEPS):
        loss = model(**batch, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    print(f"{batch['input_ids'].shape[1]} tokens, loss {loss.item():.3f}")
    model.save_pretrained(folder)
    tokenizer.chat_template = qwen3_chat_template
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
