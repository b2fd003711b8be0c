"""Programs that go wrong, and programs that attack the connection they have to us; `test_misbehaviour.py` runs them."""

from dataclasses import dataclass

from mumath_agent.records import ExecutionStatus

OK, ERROR, TIMEOUT = ExecutionStatus.OK, ExecutionStatus.ERROR, ExecutionStatus.TIMEOUT
MEMORY, DIED = ExecutionStatus.MEMORY, ExecutionStatus.DIED
KEPT, LOST, EITHER = {False}, {True}, {False, True}
KERNEL = "kernel = get_ipython().publish.__self__\n"
"""A program that looks for the kernel around it finds it."""
FIND_WIRES = """
import os, socket, stat
def _is_socket(number):
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False
wires = [socket.socket(fileno=os.dup(number)) for number in range(3, 20) if _is_socket(number)]
for wire in wires:
    wire.settimeout(5)
"""
"""The sockets a program was born with."""


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    code: str
    statuses: set[ExecutionStatus]
    lost: set[bool]
    strikes_later: bool = False
    """What it left behind may end the next program too."""
    at_night: bool = False
    """It is like another one, and takes long."""


CASES = [
    # Without end, but open to an interrupt
    Case("loop", "while True: x = 1", {TIMEOUT}, KEPT),
    Case("sleep", "import time\ntime.sleep(1000)", {TIMEOUT}, KEPT),
    Case("lock", "import threading\na = threading.Lock()\na.acquire()\na.acquire()", {TIMEOUT}, KEPT),
    Case(
        "join",
        "import threading\nt = threading.Thread(target=threading.Event().wait)\nt.daemon = True\n"
        "t.start()\nt.join()",
        {TIMEOUT},
        KEPT,
    ),
    Case("power", "10**10**8 % 7", {TIMEOUT}, KEPT),
    Case("factorial", "import math\nmath.factorial(10**8)", {TIMEOUT}, KEPT),
    Case("regex", "import re\nre.match('(a+)+$', 'a' * 40 + 'b')", {TIMEOUT}, KEPT),
    Case("factorint", "import sympy\nsympy.factorint(10**120 + 7 * 10**60 + 31)", {TIMEOUT}, KEPT),
    Case("await", "import asyncio\nawait asyncio.sleep(1e6)", {TIMEOUT}, EITHER),
    Case("asyncio_run", "import asyncio\nasyncio.run(asyncio.sleep(1e6))", {TIMEOUT, ERROR}, EITHER),
    # Deaf to an interrupt
    Case(
        "swallows",
        "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass",
        {TIMEOUT},
        LOST,
    ),
    Case(
        "ignores",
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        {TIMEOUT},
        LOST,
    ),
    Case(
        "own_handler",
        "import signal\nsignal.signal(signal.SIGINT, lambda *a: None)\nwhile True: pass",
        {TIMEOUT},
        LOST,
    ),
    Case(
        "blocks_signals",
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nwhile True: pass",
        {TIMEOUT},
        LOST,
    ),
    Case(
        "stops_itself",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        {TIMEOUT, ERROR},
        EITHER,
    ),
    Case("sum_in_c", "sum(range(10**12))", {TIMEOUT}, LOST),
    Case(
        "deque_in_c",
        "import collections, itertools\ncollections.deque(itertools.repeat(0, 10**13), maxlen=0)",
        {TIMEOUT},
        LOST,
    ),
    # Deep
    Case("recursion", "def f(n):\n    return f(n + 1)\nf(0)", {ERROR}, KEPT),
    Case(
        "raised_recursion_limit",
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(n):\n    return f(n + 1)\nf(0)",
        {ERROR, MEMORY, DIED, TIMEOUT},
        EITHER,
    ),
    Case("nested_repr", "x = []\nfor _ in range(10**6): x = [x]\nrepr(x)", {ERROR, DIED}, EITHER),
    # Deadly
    Case("os_exit", "import os\nos._exit(3)", {DIED}, LOST),
    Case("abort", "import os\nos.abort()", {DIED}, LOST),
    Case("segfault", "import ctypes\nctypes.string_at(0)", {DIED}, LOST),
    Case(
        "alarm",
        "import signal, time\nsignal.setitimer(signal.ITIMER_REAL, 0.1)\ntime.sleep(600)",
        {DIED},
        LOST,
    ),
    Case("closes_everything", "import os\nos.closerange(3, 500)", {DIED}, LOST),
    Case("closes_stdio", "import os\nfor n in (0, 1, 2): os.close(n)", {OK, DIED}, EITHER),
    Case("exit", "exit()", {OK}, KEPT),
    Case("sys_exit", "import sys\nsys.exit(0)", {OK}, KEPT),
    Case("keyboard_interrupt", "raise KeyboardInterrupt", {ERROR}, KEPT),
    Case("base_exception", "raise BaseException('odd')", {ERROR}, KEPT),
    Case("atexit", "import atexit, time\natexit.register(time.sleep, 1000)", {OK}, KEPT),
    # Destroying the kernel from inside
    Case("breaks_len", "import builtins\nbuiltins.len = None", {OK, ERROR, DIED, TIMEOUT}, EITHER),
    Case("closes_stdout", "import sys\nsys.stdout.close()", {OK, ERROR}, KEPT),
    Case(
        "dies_later",
        "import os, threading\nthreading.Timer(0.001, os._exit, [0]).start()",
        {OK, DIED},
        EITHER,
        strikes_later=True,
    ),
    Case("ends_kernel", KERNEL + "kernel._ended = True", {OK, DIED}, EITHER, strikes_later=True),
    Case("silences_kernel", KERNEL + "kernel._send = lambda *a, **k: None", {TIMEOUT, DIED}, LOST),
    # Too much of something
    Case("huge_string", "'a' * 10**11", {MEMORY}, KEPT),
    Case("huge_array", "import numpy\nnumpy.ones(2 * 10**9)", {MEMORY}, KEPT),
    Case("growing_list", "hoard = []\nwhile True: hoard.append(bytes(10**7))", {MEMORY}, KEPT),
    Case(
        "growing_and_swallowing",
        "hoard = []\nwhile True:\n    try:\n        hoard.append(bytearray(10**7))\n"
        "    except MemoryError:\n        pass",
        {TIMEOUT, MEMORY, DIED},
        EITHER,
    ),
    Case(
        "threads",
        "import threading\nevent = threading.Event()\nfor _ in range(300):\n"
        "    threading.Thread(target=event.wait, args=(5,), daemon=True).start()",
        {ERROR, MEMORY},
        KEPT,
    ),
    Case("forks", "import os\nwhile True: os.fork()", {ERROR}, KEPT),
    Case(
        "descriptors",
        "import os\nmany = []\nwhile True: many.append(os.open('/dev/null', os.O_RDONLY))",
        {ERROR},
        EITHER,
    ),
    Case(
        "huge_file",
        "with open('f', 'wb') as file:\n    while True: file.write(bytes(1 << 20))",
        {ERROR},
        KEPT,
    ),
    Case("many_files", "import os\nfor n in range(10**6): open(f'f{n}', 'w').close()", {ERROR}, KEPT),
    # Floods
    Case("prints_for_ever", "while True: print('spam' * 100)", {TIMEOUT}, EITHER),
    Case("prints_one_gigabyte", "print('x' * 10**9)", {OK, TIMEOUT, MEMORY}, EITHER),
    Case(
        "writes_to_descriptor",
        "import os\nwhile True: os.write(1, b'x' * (1 << 16))",
        {TIMEOUT, ERROR},
        EITHER,
    ),
    Case("displays", "for n in range(20_000): display(n)", {OK, TIMEOUT, DIED}, EITHER),
    Case("displays_much", "for n in range(200): display('x' * 10**6)", {OK, TIMEOUT, DIED}, EITHER),
    Case(
        "huge_repr",
        "class Odd:\n    def __repr__(self): return 'x' * 50_000_000\nOdd()",
        {OK, DIED},
        EITHER,
    ),
    Case("huge_error", "raise ValueError('x' * 50_000_000)", {ERROR, DIED}, EITHER),
    # Late and asking
    Case(
        "prints_later",
        "import threading, time\ndef late():\n    for _ in range(50):\n        time.sleep(0.01)\n"
        "        print('late')\nthreading.Thread(target=late).start()",
        {OK},
        KEPT,
    ),
    Case(
        "writes_later",
        "import os, threading, time\ndef late():\n    for _ in range(50):\n        time.sleep(0.01)\n"
        "        print('late', file=__import__('sys').stderr)\nthreading.Thread(target=late).start()",
        {OK},
        KEPT,
    ),
    Case(
        "busy_thread",
        "import threading\ndef busy():\n    while True: pass\n"
        "threading.Thread(target=busy, daemon=True).start()",
        {OK},
        KEPT,
    ),
    Case("input", "input('? ')", {ERROR}, KEPT),
    Case("huge_name_of_an_error", "raise type('E\\x1b[2J' * 10**6, (Exception,), {})('x')", {ERROR}, KEPT),
    Case(
        "many_notes",
        "e = ValueError()\nfor _ in range(10**5): e.add_note('n\\x1b[2J')\nraise e",
        {ERROR},
        KEPT,
        at_night=True,
    ),
    Case("accents", "print('a' + '\\u0301' * 3_000_000)", {OK}, KEPT, at_night=True),
    Case(
        "poison_for_patterns",
        "print('<' + 'a_' * 50_000)\nprint('<|x' * 50_000)\nprint('[AA' * 50_000)",
        {OK},
        KEPT,
    ),
    Case(
        "keys_of_mimes",
        "display({f'a/b{n}\\x1b': 'x' for n in range(9000)}, raw=True)",
        {OK},
        KEPT,
        at_night=True,
    ),
    Case("stdin", "import sys\nassert sys.stdin.read() == ''", {OK, ERROR}, KEPT),
]

FORGERIES = [
    Case("junk", FIND_WIRES + "for wire in wires: wire.sendall(b'junk' * 1000)", {DIED}, LOST),
    Case(
        "sends_descriptors",
        FIND_WIRES + "for wire in wires:\n    for _ in range(100): "
        "socket.send_fds(wire, [bytes([4, 0])], [0, 1, 2])",
        {OK, ERROR, DIED},
        EITHER,
    ),
    Case(
        "frame_of_a_petabyte",
        FIND_WIRES + "for wire in wires:\n"
        "    wire.sendall(b'\\x02' + (1 << 50).to_bytes(8, 'big') + bytes(1000))",
        {DIED},
        LOST,
    ),
    Case(
        "frame_of_100_mb",
        FIND_WIRES + "for wire in wires[::-1]:\n"
        "    wire.sendall(b'\\x02' + (100 << 20).to_bytes(8, 'big'))\n    wire.sendall(bytes(100 << 20))",
        {DIED, ERROR, TIMEOUT},
        LOST,
    ),
    Case(
        "deaf_shell",
        FIND_WIRES + "wires[-1].shutdown(socket.SHUT_RD)",
        {OK},
        EITHER,
        strikes_later=True,
    ),
    Case(
        "byte_by_byte",
        FIND_WIRES + "wires[-2].sendall(b'\\x02' + (5 << 20).to_bytes(8, 'big'))\n"
        "while True: wires[-2].sendall(b'x')",
        {TIMEOUT},
        EITHER,
    ),
    Case(
        "half_a_frame",
        FIND_WIRES + "for wire in wires: wire.sendall(b'\\x00\\xff')",
        {DIED, TIMEOUT},
        LOST,
    ),
    Case(
        "message_of_empty_lists",
        KERNEL + "kernel.publish('stream', {'name': 'stdout', 'text': [[]] * 10**7})",
        {OK, DIED, TIMEOUT},
        EITHER,
    ),
    Case(
        "deep_json",
        KERNEL + "import json\n_dumps = json.dumps\n"
        "json.dumps = lambda part: '[' * 200_000 + ']' * 200_000 if 'deep' in str(part) else _dumps(part)\n"
        "kernel.publish('stream', {'deep': 1})\njson.dumps = _dumps",
        {OK},
        KEPT,
    ),
    Case(
        "huge_integer",
        KERNEL + "import json\n_dumps = json.dumps\n"
        "json.dumps = lambda part: '{\"a\": ' + '9' * 10**6 + '}' if 'deep' in str(part) else _dumps(part)\n"
        "kernel.publish('stream', {'deep': 1})\njson.dumps = _dumps",
        {OK},
        KEPT,
    ),
    Case(
        "odd_contents",
        KERNEL
        + """
for content in ({}, {"name": [], "text": {}}, {"data": 3}, {"traceback": "no list"}, {"name": "stdout", "text": 5},
                {"data": {"text/plain": None, "image/png": "/etc/passwd"}}, {"execution_state": []}):
    for kind in ("stream", "display_data", "execute_result", "comm_open", "input_request", "no_such_thing"):
        kernel.publish(kind, content)
""",
        {OK},
        KEPT,
    ),
    Case(
        "forged_idle",
        KERNEL + "kernel.publish('status', {'execution_state': 'idle'})\nimport time\n"
        "time.sleep(0.1)\nprint('said after it')",
        {OK},
        KEPT,
    ),
    Case(
        "wire_as_stdout",
        FIND_WIRES
        + "import os\nos.dup2(wires[-2].fileno(), 1)\nfor _ in range(1000): os.write(1, b'print me\\x1b[2J' * 50)",
        {OK, DIED},
        EITHER,
    ),
    Case(
        "odd_streams",
        KERNEL + "for name in ('stdout\\x1b', 'STDERR', '', None, 5, ['stdout'], 'x' * 10**6):\n"
        "    for text in ('\\x1b[2Jhi', None, 5, ['a'] * 9000, {'a': 1}, '\\ud800' * 1000):\n"
        "        kernel.publish('stream', {'name': name, 'text': text})",
        {OK},
        KEPT,
    ),
    Case(
        "odd_headers",
        KERNEL + "told = dict(kernel._parent, date='9' * 10**6, username='\\x1b' * 10**5, version=10**300)\n"
        "for _ in range(20): kernel._send(kernel._peers, 'stream', {'name': 'stdout', 'text': 'x'}, told)",
        {OK, DIED},
        EITHER,
        at_night=True,
    ),
    Case(
        "questions",
        KERNEL + "asked = {'prompt': '\\x1b]0;x\\x07' * 10, 'password': False}\n"
        "for _ in range(3000): kernel.publish('input_request', asked)",
        {OK, TIMEOUT},
        EITHER,
        at_night=True,
    ),
    Case("forged_welcome", KERNEL + "kernel.publish('iopub_welcome', {})", {OK}, KEPT),
    Case(
        "forged_reply",
        KERNEL
        + """
shell = next(peer for peer in kernel._peers if peer.channel == "shell")
for _ in range(3):
    kernel._send([shell], "execute_reply", {"status": "ok", "execution_count": "no number"}, kernel._parent)
""",
        {OK, DIED},
        EITHER,
    ),
]
NESTED = {
    "lists": "b'[' + b'[],' * 2_000_000 + b'[]]'",
    "objects": "b'{\"a\": [' + b'{},' * 1_500_000 + b'{}]}'",
    "depths": "b'[' * 5_000_000",
    "keys": "b'{' + b','.join(b'\"%d\":[]' % n for n in range(400_000)) + b'}'",
    "strings": "b'{\"a\": [' + b'\"\",' * 1_500_000 + b'1]}'",
}
SIGNED = """
def send(*parts):
    peer = next(peer for peer in kernel._peers if peer.channel == "iopub")
    frames = [b"<IDS|MSG>", kernel._signer._signature(parts), *parts]
    peer.socket.sendall(sys.modules["mumath_agent.sandbox.zmtp"].encode(frames))
"""
FORGERIES += [
    Case(
        f"nested_{what}_in_{'content' if place == 3 else 'header'}",
        f"import sys\n{KERNEL}{SIGNED}parts = [b'{{}}'] * 4\nparts[{place}] = {text}\nfor _ in range(4): send(*parts)",
        {OK, DIED},
        EITHER,
        at_night=(what, place) not in (("lists", 3), ("keys", 0)),
    )
    for place in (0, 3)
    for what, text in NESTED.items()
]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
"""A figure of one pixel."""
FIGURE = f"('display_data', {{'data': {{'image/png': '{PIXEL}', 'text/plain': ''}}}})"
SMALL_PARTS = f"""
    {FIGURE},
    ('display_data', {{'data': {{'text/plain': 'x'}}}}),
    ('update_display_data', {{'data': {{'text/plain': 'x'}}, 'transient': {{'display_id': '1'}}}}),
    ('execute_result', {{'data': {{'image/png': '{PIXEL}', 'text/plain': 'x'}}}}),
    ('error', {{'traceback': ['x', 'y']}}),
    ('stream', {{'name': 'stdout', 'text': ''}}),
    ('stream', {{'name': 'stdout', 'text': 'x'}}),
    ('stream', {{'name': 'stderr', 'text': 'x'}}),
    ('comm_msg', {{}}),
"""
FORGERIES += [
    Case(
        f"many_small_{what}{how}",
        f"{KERNEL}parts = [{parts}]\nfor n in range(100_000):\n    {reset}kernel.publish(*parts[n % len(parts)])",
        {OK, ERROR, DIED},
        EITHER,
        at_night=what != "parts" or how == "",
    )
    for what, parts in (("figures", FIGURE), ("parts", SMALL_PARTS))
    for how, reset in (("", ""), ("_past_its_own_limits", "kernel._shown = kernel._shown_bytes = 0; "))
]
FORGERIES += [
    Case(
        f"endless_{what}_on_{channel}",
        f"{FIND_WIRES}while True: wires[{position}].sendall(bytes({frame}) * 100_000)",
        {TIMEOUT, DIED, ERROR},
        EITHER,
    )
    for channel, position in (("shell", -1), ("iopub", -2), ("line_to_the_server", 0))
    for what, frame in (("junk_messages", [0, 1, 65]), ("empty_frames", [1, 0]), ("commands", [4, 0]))
]
