"""What holds for the code as a whole."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_importing_the_library_imports_nothing_heavy() -> None:
    program = (
        "import sys, mumath_agent.cli\n"
        "heavy = {'torch', 'transformers', 'vllm', 'datasets', 'peft', 'finetune'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_readme_names_every_module_of_the_library() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "mumath_agent").glob("*.py"):
        assert path.name in readme or path.name in ("__init__.py", "__main__.py"), path.name


def test_ci_runs_the_test_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"## Install and test\n\n(?:<!-- .+ -->\n)?```bash\n(.+)\n```", readme)
    assert command is not None and command[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_embedded_model_and_all_package_data_are_small() -> None:
    data = [path for path in (ROOT / "mumath_agent" / "weights").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in data) <= 20 * 2**20


def test_no_program_text_is_evaluated_in_our_own_process() -> None:
    """Law 12: `eval`, `exec` and sympy's parsers, which call them, stay out of the library's process."""
    forbidden = re.compile(r"(?<![\w.])(?:eval|exec|sympify|parse_expr|parse_latex)\(")
    for path in (ROOT / "mumath_agent").rglob("*.py"):
        assert not forbidden.search(path.read_text(encoding="utf-8")), path


@pytest.mark.kernel
def test_the_python_of_the_readme_runs() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    programs = re.findall(
        r"^```python\n(from mumath_agent.+?|import asyncio.+?)^```$", readme, re.DOTALL | re.MULTILINE
    )
    printed = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        for program in programs
    ]
    assert ["391" in text or "[2, 3]" in text for text in printed] == [True] * 4
