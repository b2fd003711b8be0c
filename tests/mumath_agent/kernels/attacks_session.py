"""Attacks on the kernel's own protocol and on the next problem's session (rows 56 to 62).

What a kernel prints it may always forge: those cells succeed by design and are the client's to survive.
"""

from attack import SECCOMP, Attack

OWN_OUTPUT = "a kernel can say what it likes in its own output; the client's tests are about this"

PROTOCOL = (
    Attack(
        "own_session_key", "proto", 56, "verdict(len(get_ipython().kernel.session.key))", by_design=OWN_OUTPUT
    ),
    Attack(
        "forged_stream",
        "proto",
        57,
        """
kernel = get_ipython().kernel
content = {"name": "stdout", "text": "BREACH\\n"}
kernel.session.send(kernel.iopub_socket, "stream", content, parent=kernel.get_parent())
""",
        by_design=OWN_OUTPUT,
    ),
    Attack(
        "forged_idle",
        "proto",
        57,
        """
kernel = get_ipython().kernel
content = {"execution_state": "idle"}
verdict(True)
sys.stdout.flush()
kernel.session.send(kernel.iopub_socket, "status", content, parent=kernel.get_parent())
""",
        by_design=OWN_OUTPUT,
        fresh=True,
    ),
    Attack(
        "silent_kernel",
        "proto",
        58,
        """
verdict(True)
sys.stdout.flush()
time.sleep(0.2)
get_ipython().kernel.iopub_thread.stop()
""",
        by_design=OWN_OUTPUT,
        fresh=True,
    ),
    Attack(
        "junk_frames",
        "proto",
        59,
        """
kernel = get_ipython().kernel
verdict(True)
sys.stdout.flush()
kernel.iopub_thread.send_multipart([b"junk", b"<IDS|MSG>", b"wrong", b"", b"", b"", b""])
kernel.session.send(kernel.iopub_socket, "stream", {"name": "stdout", "text": 12345}, parent=kernel.get_parent())
""",
        by_design=OWN_OUTPUT,
        fresh=True,
    ),
    Attack(
        "letter_box_flock",
        "proto",
        54,
        """
import fcntl
with open(os.__file__) as box:
    try:
        fcntl.flock(box, fcntl.LOCK_EX | fcntl.LOCK_NB)
        verdict(False, "no lock of another kernel shows")
    except BlockingIOError:
        verdict(True)
""",
        SECCOMP,
    ),
    Attack(
        "letter_box_lockf",
        "proto",
        54,
        """
import fcntl
with open(os.__file__) as box:
    asked = struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0)
    kind, *_ = struct.unpack("hhqqi", fcntl.fcntl(box, fcntl.F_GETLK, asked))
verdict(kind != fcntl.F_UNLCK, "no lock of another kernel shows")
""",
        SECCOMP,
    ),
    Attack(
        "payload",
        "proto",
        60,
        """
get_ipython().set_next_input("print('BREACH')")
verdict(get_ipython().payload_manager.read_payload())
""",
        by_design=OWN_OUTPUT,
        fresh=True,
    ),
)

_SEEN = "verdict(%s, 'nothing arrived')"

PERSISTENCE = (
    Attack(
        "patched_sympy",
        "persist",
        61,
        "import sympy\nsympy.solve = lambda *a: [42]\nhost_decides()",
        later="import sympy\n" + _SEEN % "sympy.solve(sympy.Symbol('x') - 1) == [42]",
        fresh=True,
    ),
    Attack(
        "patched_builtins",
        "persist",
        61,
        "import builtins\nbuiltins.round = lambda *a: 42\nhost_decides()",
        later=_SEEN % "round(1.2) == 42",
        fresh=True,
    ),
    Attack(
        "patched_math",
        "persist",
        61,
        "import math\nmath.sqrt = lambda n: 42\nhost_decides()",
        later="import math\n" + _SEEN % "math.sqrt(4) == 42",
        fresh=True,
    ),
    Attack(
        "patched_environment",
        "persist",
        61,
        "os.environ['MINE'] = '42'\nhost_decides()",
        later=_SEEN % "'MINE' in os.environ",
        fresh=True,
    ),
    Attack(
        "file_for_later",
        "persist",
        61,
        "open('mine-@name@', 'w').close()\nhost_decides()",
        later=_SEEN % "os.path.exists('mine-@name@')",
        fresh=True,
    ),
    Attack(
        "module_for_later",
        "persist",
        61,
        """
open("statistics.py", "w").write("mean = lambda numbers: 42")
sys.path.insert(0, os.getcwd())
host_decides()
""",
        later="import statistics\n" + _SEEN % "statistics.mean([1]) == 42",
        fresh=True,
    ),
    Attack(
        "planted_module",
        "persist",
        61,
        """
import types
sys.modules["mine"] = types.ModuleType("mine")
host_decides()
""",
        later=_SEEN % "'mine' in sys.modules",
        fresh=True,
    ),
    Attack(
        "recursion_limit",
        "persist",
        61,
        "sys.setrecursionlimit(1234)\nhost_decides()",
        later=_SEEN % "sys.getrecursionlimit() == 1234",
        fresh=True,
    ),
    Attack(
        "precision",
        "persist",
        61,
        "import mpmath\nmpmath.mp.dps = 5\nhost_decides()",
        later="import mpmath\n" + _SEEN % "mpmath.mp.dps == 5",
        fresh=True,
    ),
    Attack(
        "left_over_thread",
        "persist",
        61,
        """
import threading
threading.Thread(target=time.sleep, args=(60,), name="mine", daemon=True).start()
host_decides()
""",
        later="import threading\n" + _SEEN % "'mine' in [thread.name for thread in threading.enumerate()]",
        fresh=True,
    ),
    Attack(
        "hook",
        "persist",
        61,
        """
def mine(*information):
    import builtins
    builtins.hooked = True
get_ipython().events.register("pre_run_cell", mine)
host_decides()
""",
        later="import builtins\n" + _SEEN % "hasattr(builtins, 'hooked')",
        fresh=True,
    ),
    Attack(
        "history",
        "persist",
        62,
        "answer_of_the_first_problem = 42\nhost_decides()",
        later="""
history = get_ipython().history_manager
entries = [entry[2] for entry in history.get_tail(50, include_latest=True)] + list(history.input_hist_raw)
verdict(any("answer_of_the_" "first_problem" in entry for entry in entries), f"{len(entries)} entries")
""",
        fresh=True,
    ),
)
