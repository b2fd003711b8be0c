"""Why a server did not start is quoted from what it said; nothing of it is left."""

import socket
import sys
from pathlib import Path

import pytest

from mumath_agent.errors import InputError, ModelUnreachable
from mumath_agent.serving import ServeOptions, ServerCommand, build_command, free_port, running
from mumath_agent.serving.server import cause_of
from tests.toy import TOY

NOISE = """\
W1121 17:20:57.566000 22936 torch/_library/triton.py:53] Triton not available, find_triton_kernels = []
(APIServer pid=7) INFO 11-21 17:21:54 [api_utils.py:347] vLLM server version 0.32.0
(APIServer pid=7) WARNING 11-21 17:21:54 [system_utils.py:255] This can cause fd limit errors like `OSError: [Errno 24]`
"""
BAD_FLAG = """\
usage: vllm_cli.py [-h] [-v]
              {chat,complete,serve,launch,bench,collect-env,download-kernels,preload,run-batch,snapshot}
              ...
vllm_cli.py: error: unrecognized arguments: --no-such-flag
"""
WORKER = """\
(Worker pid=9) ERROR 11-21 17:22:22 [multiproc_executor.py:1063] WorkerProc hit an exception.
(Worker pid=9) ERROR 11-21 17:22:22 [multiproc_executor.py:1063] Traceback (most recent call last):
(Worker pid=9) ERROR 11-21 17:22:22 [multiproc_executor.py:1063]     raise ValueError(
(Worker pid=9) ERROR 11-21 17:22:22 [multiproc_executor.py:1063] ValueError: No common block size for 17.
(EngineCore pid=8) ERROR 11-21 17:22:23 [core.py:1100] RuntimeError: Worker failed with error 'No common block size'
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""
VALIDATION = """\
Traceback (most recent call last):
    s.__pydantic_validator__.validate_python(ArgsKwargs(args, kwargs), self_instance=s)
pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, User-specified max_model_len (9999) is greater than the derived max_model_len [type=value_error]
    For further information visit https://errors.pydantic.dev/2.14/v/value_error
"""


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (BAD_FLAG, "vllm_cli.py: error: unrecognized arguments: --no-such-flag"),
        (WORKER, "ValueError: No common block size for 17."),
        (
            VALIDATION,
            "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig "
            "Value error, User-specified max_model_len (9999) is greater than the derived max_model_len",
        ),
        ("/bin/python: No module named vllm\n\n", "its last output was: /bin/python: No module named vllm"),
    ],
)
def test_the_first_error_is_the_cause(tmp_path: Path, log: str, cause: str) -> None:
    path = tmp_path / "vllm.log"
    path.write_text(NOISE + log, "utf-8")
    assert cause_of(path).startswith(cause)
    assert str(path) in cause_of(path) and "\n" not in cause_of(path)


def test_one_that_said_nothing(tmp_path: Path) -> None:
    path = tmp_path / "vllm.log"
    path.write_text("", "utf-8")
    assert cause_of(path).startswith("its last output was: nothing")


def command(port: int, host: str = "127.0.0.1", python: Path = Path(sys.executable)) -> ServerCommand:
    return build_command(ServeOptions(model=str(TOY), host=host, port=port), python, ())


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port}: Address already in use; choose another --port"):
            running(command(port), log=tmp_path / "log").__enter__()
    with pytest.raises(InputError, match=r"can't listen on 192\.0\.2\.1"):
        running(command(free_port(), "192.0.2.1"), log=tmp_path / "log").__enter__()
    assert not (tmp_path / "log").exists()


def test_an_interpreter_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't run /nowhere/python: No such file or directory"):
        running(command(free_port(), python=Path("/nowhere/python")), log=tmp_path / "log").__enter__()


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"can't write the log .*/no/log: No such file or directory"):
        running(command(free_port()), log=tmp_path / "no" / "log").__enter__()


def test_an_interpreter_without_vllm(tmp_path: Path) -> None:
    with pytest.raises(
        ModelUnreachable, match=r"\(exit code 1\): ModuleNotFoundError: No module named 'vllm'"
    ):
        running(command(free_port()), log=tmp_path / "log").__enter__()
