"""What holds for the code as a whole."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"


def test_importing_the_library_imports_nothing_heavy() -> None:
    program = (
        "import sys, mumath_agent.cli, mumath_agent.front.web.app\n"
        "heavy = {'torch', 'transformers', 'vllm', 'datasets', 'peft', 'finetune'}\n"
        "heavy |= {'langgraph', 'sympy', 'onnxruntime'}  # these are for the first question\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_architecture_page_names_every_module_of_the_library_and_every_package() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for path in (ROOT / "mumath_agent").glob("*.py"):
        assert path.name in page or path.name in ("__init__.py", "__main__.py"), path.name
    for package in ("mumath_agent", "finetune", "benchmarks"):
        for path in (ROOT / package).glob("*/__init__.py"):
            assert f"{path.parent.name}/ " in page, path


def test_every_law_of_the_architecture_page_names_tests_that_exist() -> None:
    rows = re.findall(r"^\| (\d+) \| .+ \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 13))
    for _, tests in rows:
        for test in tests.split():
            path, _, name = test.strip("`").partition("::")
            assert re.search(rf"^(?:async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE), (
                test
            )


def test_the_one_place_for_each_thing_has_it() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## The one place")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| .+ \| (`.+`) \| `(.+)` \|$", table, re.MULTILINE)
    assert len(rows) >= 20
    for names, place in rows:
        path = ROOT / place
        files = path.glob("*.py") if path.is_dir() else [path]
        text = "".join(file.read_text("utf-8") for file in files)
        for name in re.findall(r"`@?(?:\w+\.)?(\w+)`", names):
            assert re.search(rf"^\s*(?:(?:async )?def|class) {name}\b|^{name} =", text, re.MULTILINE), (
                name,
                place,
            )


def test_ci_runs_the_test_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"## Install and test\n\n(?:<!-- .+ -->\n)?```bash\n(.+)\n```", readme)
    assert command is not None and command[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_make_test_runs_the_tests_as_the_readme_does() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    dry = ["make", "--dry-run", "test"]
    told = subprocess.run(dry, cwd=ROOT, env=clean, capture_output=True, text=True, check=True).stdout.strip()
    assert told.startswith(".venv/bin/pytest") and f" && {told}\n" in readme


def test_the_weights_that_ship_and_those_of_the_tests_are_small() -> None:
    for folder, most in (("mumath_agent/weights", 95e6), ("tests/data/toy", 10e6)):
        assert sum(path.stat().st_size for path in (ROOT / folder).rglob("*") if path.is_file()) <= most


def test_no_program_text_is_evaluated_in_our_own_process() -> None:
    """Law 12: `eval`, `exec` and sympy's parsers, which call them, stay out of the library's process."""
    forbidden = re.compile(r"(?<![\w.])(?:eval|exec|sympify|parse_expr|parse_latex)\(")
    for path in (ROOT / "mumath_agent").rglob("*.py"):
        assert not forbidden.search(path.read_text(encoding="utf-8")), path
