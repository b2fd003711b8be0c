"""Check what we make of reports about a kernel's process; at some levels a program can write them itself."""

import socket

import pytest

from mumath_agent.kernels.process import PACKETS, Process

REPORTS = [
    b"[" * 60_000,
    b'{"a":' * 10_000,
    b"\xff\x00",
    b"3",
    b'{"exit": "' + b"9" * 50_000 + b'"}',
    b'{"exit": 1e999}',
    b'{"exit": ' + b"9" * 5000 + b"}",
    b'{"exit": true}',
    b'{"exit": [[]]}',
]


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_that_makes_no_sense_ends_the_process_without_a_code(report: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, PACKETS)
    with ours, theirs:
        process = Process(ours, starts_others=False)
        theirs.send(report)
        process.receive()
        assert (process.ended, process.exit_code, process.ended_by) == (True, None, "its process ended")


@pytest.mark.parametrize("number", [b"-1", b"0", b'"1"', b"1e3", b"99999999999", b"true", b"[]"])
def test_what_is_not_a_process_gets_no_signals(number: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, PACKETS)
    with ours, theirs:
        process = Process(ours, starts_others=False)
        theirs.send(b'{"ready": true, "process": ' + number + b"}")
        process.receive()
        assert (process.ready, process.pid) == (False, None)


def test_an_error_is_one_short_line() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, PACKETS)
    with ours, theirs:
        process = Process(ours, starts_others=False)
        theirs.send(b'{"error": "a\\u001b[2J\\u202e\\n' + b"b" * 5000 + b'"}')
        process.receive()
        assert process.error is not None
        assert process.error.startswith("a[2J b")
        assert len(process.error) <= 500


def test_an_endless_row_of_reports_is_taken_in_by_portions() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, PACKETS)
    with ours, theirs:
        process = Process(ours, starts_others=False)
        for _ in range(50):
            theirs.send(b'{"ready": true}')
        process.receive()
        ours.setblocking(False)
        assert ours.recv(100) == b'{"ready": true}'
