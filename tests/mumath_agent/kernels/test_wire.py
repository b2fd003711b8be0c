"""Check our side of ZeroMQ's and Jupyter's formats against libzmq and jupyter_client."""

import json
import socket
import tempfile
import threading
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.session import Session

from mumath_agent.sandbox.messages import Signer
from mumath_agent.sandbox.zmtp import ProtocolError, Wire, encode

messages = st.lists(st.lists(st.binary(max_size=600), min_size=1, max_size=6), max_size=5)


@given(sent=messages, cuts=st.lists(st.integers(1, 700), min_size=1))
def test_messages_come_out_as_they_went_in_however_the_bytes_are_cut(
    sent: list[list[bytes]], cuts: list[int]
) -> None:
    ours, theirs = Wire("DEALER", max_bytes=1 << 20), Wire("ROUTER", max_bytes=1 << 20)
    data = ours.opening + b"".join(map(encode, sent))
    received: list[list[bytes]] = []
    while data:
        cuts.append(cut := cuts.pop(0))
        received += theirs.decode(data[:cut])
        data = data[cut:]
    assert received == sent


@given(data=st.binary(max_size=400))
def test_junk_is_an_error_or_nothing(data: bytes) -> None:
    wire = Wire("SUB", max_bytes=1000)
    with suppress(ProtocolError):
        wire.decode(wire.opening + data)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + bytes(64),
        encode([b"x" * 2000]),
        encode([b"x" * 600, b"y" * 600]),
        bytes([2]) + (1 << 62).to_bytes(8, "big"),
        bytes([4, 7]) + b"\x05ERROR!",
        bytes([4, 0]) * 200,
    ],
)
def test_a_foreign_protocol_or_too_large_a_message_ends_the_connection(data: bytes) -> None:
    wire = Wire("SUB", max_bytes=1000)
    with pytest.raises(ProtocolError):
        wire.decode(data if data.startswith(b"GET") else wire.opening + data)


@pytest.mark.parametrize(("ours", "theirs"), [("ROUTER", zmq.DEALER), ("XPUB", zmq.SUB), ("REP", zmq.REQ)])
def test_libzmq_talks_to_us(ours: str, theirs: int) -> None:
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = str(Path(directory, "s"))
        listener.bind(path)
        listener.listen()
        echo = threading.Thread(target=_echo, args=(listener, ours))
        echo.start()
        with zmq.Context() as context, context.socket(theirs) as client:
            client.setsockopt(zmq.LINGER, 0)
            client.setsockopt(zmq.RCVTIMEO, 120_000)
            client.connect(f"ipc://{path}")
            if theirs == zmq.SUB:
                client.setsockopt(zmq.SUBSCRIBE, b"topic")
                assert client.recv_multipart() == [b"topic", b"subscribed"]
            else:
                client.send_multipart([b"one", b"x" * 1000])
                assert client.recv_multipart() == [b"one", b"x" * 1000]
        echo.join()


def _echo(listener: socket.socket, kind: str) -> None:
    connection, _ = listener.accept()
    wire = Wire(kind, max_bytes=1 << 20)
    with connection:
        connection.sendall(wire.opening)
        while data := connection.recv(4096):
            for frames in wire.decode(data):
                subscribed = kind == "XPUB"
                connection.sendall(encode([frames[0][1:], b"subscribed"] if subscribed else frames))


def test_jupyter_client_reads_what_we_sign_and_the_other_way_round() -> None:
    ours, theirs = Signer("key", "agent"), Session(key=b"key")
    header = ours.header("execute_request")
    _, parts = theirs.feed_identities(ours.pack(header, {"code": "1"}, {"msg_id": "p"}))
    read = theirs.deserialize(parts)
    assert read["content"] == {"code": "1"} and read["header"]["msg_id"] == header["msg_id"]
    answer = theirs.msg("execute_reply", {"status": "ok"}, parent=read)
    got = ours.unpack(theirs.serialize(answer, ident=b"client"))
    assert got["content"] == {"status": "ok"}
    assert got["parent_header"]["msg_id"] == header["msg_id"]


DEEP = b"[" * 200_000 + b"]" * 200_000


@pytest.mark.parametrize("body", [b"{", b"[]", b"3", b'"\xff"', DEEP, b'{"a": ' * 99_999])
def test_what_is_no_message_is_an_error_of_ours(body: bytes) -> None:
    signer = Signer("key", "agent")
    good = [json.dumps(part).encode() for part in (signer.header("stream"), {}, {}, {})]
    for position in range(4):
        parts = [*good]
        parts[position] = body
        frames = [b"<IDS|MSG>", signer._signature(parts), *parts]
        with pytest.raises(ValueError):
            signer.unpack(frames)


MANY = 1 << 20
HUGE = {
    "empty lists": b"[" + b"[]," * MANY + b"[]]",
    "empty objects": b'{"a": [' + b"{}," * MANY + b"{}]}",
    "numbers": b'{"a": [' + b"1," * MANY + b"1]}",
    "strings": b'{"a": [' + b'"",' * MANY + b'""]}',
    "keys": b"{" + b'"a":1,' * MANY + b'"b":1}',
    "words": b'{"a": [' + b"null," * MANY + b"null]}",
    "lists in lists": b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}",
    "objects in objects": b'{"a":' * 200 + b"1" + b"}" * 200,
    "strings without an end": b'{"a": "' + b'\\"[,' * MANY,
    "nothing but quotes": b'{"a": [' + b'"",' * MANY + b'"' * MANY,
}


@pytest.mark.parametrize("body", HUGE.values(), ids=HUGE.keys())
def test_a_small_text_that_stands_for_huge_objects_is_refused_unread(body: bytes) -> None:
    signer = Signer("key", "agent")
    parts = [json.dumps(signer.header("stream")).encode(), b"{}", b"{}", body]
    frames = [b"<IDS|MSG>", signer._signature(parts), *parts]
    tracemalloc.start()
    with pytest.raises(ValueError):
        signer.unpack(frames)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 16 << 20


@pytest.mark.parametrize(
    "text", ["[" * 10**6, "1, " * 10**6, '{"a": [1]}' * 10**5, "\\" * 10**5, '"' * 10**6, "é, " * 10**5]
)
def test_a_long_text_of_brackets_and_commas_is_read(text: str) -> None:
    signer = Signer("key", "agent")
    assert signer.unpack(signer.pack(signer.header("stream"), {"text": text}))["content"] == {"text": text}


@pytest.mark.parametrize("frames", [[], [b"<IDS|MSG>"], [b"<IDS|MSG>", b""], [b"x"] * 9])
def test_a_message_that_is_not_signed_with_our_key_is_an_error(frames: list[bytes]) -> None:
    other = Signer("other", "agent")
    for candidate in (frames, other.pack(other.header("stream"), {})):
        with pytest.raises(ValueError):
            Signer("key", "agent").unpack(candidate)
