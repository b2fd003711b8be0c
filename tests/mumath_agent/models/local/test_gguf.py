"""A GGUF file's beginning is read, and whatever else a file may hold is one clear error."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mumath_agent.errors import InputError
from mumath_agent.models.local import GgufModel, read_gguf
from tests.mumath_agent.models.local.tiny import CONTEXT_TOKENS, WIDTH, write_tiny


def test_what_the_file_says_of_its_model(tmp_path: Path) -> None:
    model = read_gguf(write_tiny(tmp_path / "tiny.gguf"))
    assert (model.name, model.context_tokens, model.chats) == ("tiny", CONTEXT_TOKENS, True)
    assert model.kv_bytes_per_token == 2 * WIDTH * 2  # keys and values of one layer, two bytes a number
    assert model.values["tokenizer.ggml.tokens"] == 260  # of a list, only the length
    assert model.bytes == (tmp_path / "tiny.gguf").stat().st_size


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "it begins with b''"),
        (b"<html>", "it begins with b'<htm'"),
        (b"GGUF", "it ends too early"),
        (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "its version is 9"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 40), "it claims to have 1099511627776 named values"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1), "it ends too early"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 60), "it has a text of"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"a", 99), "a value of the unknown type 99"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"a", 9, 99, 5), "a list of the unknown type 99"),
        (
            b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"a", 9, 8, 1 << 60),
            "a list of 1152921504606846976",
        ),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"a", 9, 10, 1 << 62), "it claims to go on for"),
        (
            b"GGUF" + struct.pack("<IQQQ1sIIQQ", 3, 0, 1, 1, b"a", 9, 8, 1, (1 << 64) - 1),
            "it claims to go on for",
        ),
        (
            b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"a", 9) + struct.pack("<IQ", 9, 1) * 5000,
            "lists in lists",
        ),
    ],
)
def test_what_is_no_model_is_said(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(InputError, match="isn't a GGUF file that can be used") as raised:
        read_gguf(path)
    assert told in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("number", [-5, (1 << 63) - 1])
def test_numbers_that_can_not_be_are_as_if_they_were_not_there(number: int) -> None:
    values: dict[str, str | int] = {
        "general.architecture": "llama",
        "llama.context_length": number,
        "llama.block_count": number,
    }
    model = GgufModel(path=Path("x.gguf"), bytes=1, values=values)
    assert (model.context_tokens, model.kv_bytes_per_token) == (0, 0)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"can't read .*: No such file"):
        read_gguf(tmp_path / "x.gguf")


@given(st.binary(max_size=200), st.integers(0, 3000))
def test_no_bytes_make_it_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int
) -> None:
    path = tmp_path_factory.mktemp("junk") / "x.gguf"
    whole = write_tiny(path).read_bytes()
    path.write_bytes(whole[:at] + junk + whole[at + len(junk) :])
    try:
        read_gguf(path)
    except InputError as error:
        assert "\n" not in str(error)
