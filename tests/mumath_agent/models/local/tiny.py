"""Write a tiny GGUF model with random weights: it loads in a moment, chats, and makes no sense."""

from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType

WIDTH, HEADS, INNER, CONTEXT_TOKENS = 32, 4, 64, 4096
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]


def write_tiny(path: Path, *, chats: bool = True, weights: bool = True) -> Path:
    """Write the model; without weights the file is one that can be read, but not loaded."""
    writer = GGUFWriter(str(path), "llama")
    tokens = [*_bytes_as_text(), "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.NORMAL] * 256 + [TokenType.CONTROL] * 4)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(256)
    if chats:
        writer.add_chat_template(TEMPLATE)
    draw = np.random.default_rng(0)
    for name, shape in _tensors(len(tokens)).items() if weights else ():
        values = np.ones(shape) if len(shape) == 1 else draw.normal(0, 0.2, shape)
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors(vocabulary: int) -> dict[str, tuple[int, ...]]:
    square, up, down = (WIDTH, WIDTH), (INNER, WIDTH), (WIDTH, INNER)
    block = {"attn_q": square, "attn_k": square, "attn_v": square, "attn_output": square}
    block |= {"ffn_gate": up, "ffn_up": up, "ffn_down": down}
    return {
        "token_embd.weight": (vocabulary, WIDTH),
        "output.weight": (vocabulary, WIDTH),
        "output_norm.weight": (WIDTH,),
        "blk.0.attn_norm.weight": (WIDTH,),
        "blk.0.ffn_norm.weight": (WIDTH,),
        **{f"blk.0.{name}.weight": shape for name, shape in block.items()},
    }


def _bytes_as_text() -> list[str]:
    """Return the character that stands for each byte in a byte-level vocabulary."""
    others = iter(range(256, 512))
    return [chr(byte if byte in _PRINTABLE else next(others)) for byte in range(256)]
