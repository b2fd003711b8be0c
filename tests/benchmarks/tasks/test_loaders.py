"""A task's problems come whole, with ids of their own and their source, or not at all."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks.tasks import GitHub, Part, Task, get_task, loaders
from benchmarks.tasks.loaders import is_at_hand, load_problems
from mumath_agent.errors import InputError

CHECKOUT = Path(__file__).resolve().parents[3]
ROWS = [{"input": f"Is it {n}?", "target": float(n)} for n in range(3)]
TABLE = {"question": "Which?", "table": "a | b", "answer": "5", "ans_type": "integer_number", "grade": 1}


def lines(*rows: object) -> str:
    return "\n".join(json.dumps(row) for row in rows)


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return folder


def addsub(**changes: Any) -> Task:
    return replace(get_task("addsub"), **changes)


@pytest.mark.parametrize("name", ["mawps/addsub.jsonl", "addsub/test.jsonl", "addsub.jsonl"])
def test_a_file_goes_by_several_names(tmp_path: Path, name: str) -> None:
    loaded = load_problems(addsub(problems=3), written(tmp_path, name, lines(*ROWS)))
    assert [(p.id, p.question, p.target, p.source) for p in loaded.problems] == [
        (f"addsub-{n}", f"Is it {n}?", str(n), "addsub") for n in range(3)
    ]
    assert loaded.source == f"{name} sha256:{sha256((tmp_path / name).read_bytes()).hexdigest()}"
    assert loaded.remarks == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("addsub.json", json.dumps(ROWS)),
        ("addsub.json", json.dumps(ROWS, indent=1)),
        ("addsub/test.json", lines(*ROWS)),
        ("addsub.json", json.dumps({f"key-{n}": row for n, row in enumerate(ROWS)})),
        ("addsub.jsonl", "\ufeff" + lines(*ROWS) + "\n\n"),
        ("addsub.jsonl", lines(*ROWS).replace("\n", "\r\n")),
    ],
)
def test_rows_may_be_lines_an_array_or_an_object(tmp_path: Path, name: str, text: str) -> None:
    problems = load_problems(addsub(), written(tmp_path, name, text)).problems
    assert [p.target for p in problems] == ["0", "1", "2"]


def test_one_row_in_a_json_file_is_a_row(tmp_path: Path) -> None:
    assert len(load_problems(addsub(), written(tmp_path, "addsub.json", lines(ROWS[0]))).problems) == 1


def test_the_keys_of_an_object_are_ids(tmp_path: Path) -> None:
    folder = written(tmp_path, "tabmwp/problems_test1k.json", json.dumps({"16": TABLE, "b/2": TABLE}))
    assert [p.id for p in load_problems(get_task("tabmwp"), folder).problems] == ["tabmwp-16", "b/2"]


def test_duplicates_are_told_apart(tmp_path: Path) -> None:
    rows = [{"id": key, "problem": "P", "answer": 1} for key in ("a", "b", "a", "a")]
    folder = written(tmp_path, "aime24.jsonl", lines(*rows))
    assert [p.id for p in load_problems(get_task("aime24"), folder).problems] == ["a", "b", "a#2", "a#3"]


def test_the_parts_of_mawps_come_one_after_the_other(tmp_path: Path) -> None:
    for name in ("addsub", "singleop", "singleeq", "multiarith"):
        assert not is_at_hand(get_task("mawps"), tmp_path)
        written(tmp_path, f"mawps/{name}.jsonl", lines(*ROWS[:2]))
    assert is_at_hand(get_task("mawps"), tmp_path)
    loaded = load_problems(get_task("mawps"), tmp_path, limit=3)
    assert [(p.id, p.source, p.tags) for p in loaded.problems] == [
        ("addsub-0", "mawps", ("part:addsub",)),
        ("addsub-1", "mawps", ("part:addsub",)),
        ("singleop-0", "mawps", ("part:singleop",)),
    ]
    assert loaded.source.count("sha256:") == 4
    assert loaded.remarks == (
        "mawps has 8 problems here and 2,065 in the papers: numbers on it compare with no published ones",
    )


def test_rows_the_papers_leave_out_don_t_count(tmp_path: Path) -> None:
    answers = ("1 (cat)", "2 (cats); 3 (dogs)", "4 (cats)")
    rows = [{"body": "A.", "question": "B?", "answer": a, "solution_type": "Sum"} for a in answers]
    folder = written(tmp_path, "asdiv.jsonl", lines(*rows))
    loaded = load_problems(replace(get_task("asdiv"), problems=2), folder)
    assert [(p.id, p.target) for p in loaded.problems] == [("asdiv-0", "1"), ("asdiv-1", "4")]
    assert loaded.remarks == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lines(*ROWS) + '\n{"input": "Is', "addsub.jsonl line 4: not valid JSON"),
        (lines(ROWS[0], [1]), "line 2: a JSON object is expected, this is list"),
        (lines(ROWS[0], {"input": "Q?"}), "line 2: no target; its columns are input"),
        (lines(ROWS[0], {"input": "Q?", "target": "five"}), "line 2: the gold answer 'five' isn't a number"),
        (lines({"input": "Q?" * 20_000, "target": 5}), "line 1: the question has 40,000 characters"),
        ('{"input": "\\ud800?", "target": 5}', "line 1: the question isn't text"),
        ("[" * 100_000, "line 1: not valid JSON"),
    ],
)
def test_a_bad_row_refuses_the_set_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    folder = written(tmp_path, "addsub.jsonl", text)
    with pytest.raises(InputError, match=message) as caught:
        load_problems(addsub(), folder, limit=1)
    assert "\n" not in str(caught.value)


def test_a_bad_entry_of_an_array_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path, "addsub.json", json.dumps([ROWS[0], 5]))
    with pytest.raises(InputError, match=r"addsub\.json entry 2: a JSON object is expected"):
        load_problems(addsub(), folder)


def test_files_that_are_no_text_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no file for addsub; it may be any of mawps/addsub\.jsonl"):
        load_problems(addsub(), tmp_path)
    (tmp_path / "addsub.jsonl").write_bytes(b"\xff\xfe{}")
    with pytest.raises(InputError, match="isn't UTF-8 text"):
        load_problems(addsub(), tmp_path)


@pytest.fixture
def raw_github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve the files of a folder in the place of GitHub."""
    folder = tmp_path / "raw"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        monkeypatch.setattr(loaders, "_RAW", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder
        server.shutdown()
        thread.join()


def github(revision: str | None) -> Task:
    remote = GitHub(repository="microsoft/ToRA", revision=revision, path="data/addsub.jsonl")
    return addsub(parts=(Part(name="addsub", remote=remote),), problems=3)


def test_a_file_from_github(raw_github: Path) -> None:
    for revision in ("0a1b", "main"):
        written(raw_github, f"microsoft/ToRA/{revision}/data/addsub.jsonl", lines(*ROWS))
    digest = sha256(lines(*ROWS).encode()).hexdigest()
    pinned = load_problems(github("0a1b"), limit=2)
    assert [p.id for p in pinned.problems] == ["addsub-0", "addsub-1"]
    assert pinned.source == f"github.com/microsoft/ToRA@0a1b/data/addsub.jsonl sha256:{digest}"
    assert pinned.remarks == ()
    loose = load_problems(github(None))
    assert loose.source == f"github.com/microsoft/ToRA@main/data/addsub.jsonl sha256:{digest}"
    assert loose.remarks == (
        "github.com/microsoft/ToRA@main is not pinned: what it holds may change from one day to the next",
    )


def test_a_file_github_doesn_t_have(raw_github: Path) -> None:
    with pytest.raises(InputError, match=r"addsub.jsonl \(HTTP 404\); name a folder .* --data-dir"):
        load_problems(github("0a1b"))


def test_no_github(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaders, "_RAW", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"\(.+\); name a folder .* --data-dir"):
        load_problems(github("0a1b"))


def program(text: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run in a process of its own: datasets reads its settings when it is imported, and warns of many things."""
    start = (
        "from dataclasses import replace\n"
        "from benchmarks.tasks.loaders import load_problems\n"
        "from benchmarks.tasks import Hub, Part, get_task\n"
    )
    return subprocess.run(
        [sys.executable, "-c", start + text],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"} | environment,
        check=False,
    )


def test_a_data_set_of_the_hub(tmp_path: Path) -> None:
    """A local folder stands for the repository: the same call, columns as the hub gives them."""
    pytest.importorskip("datasets", reason="needs the package datasets, which the finetune extra brings")
    for subject in ("algebra", "geometry"):
        rows = [
            {"problem": f"P{n}", "level": "Level 2", "type": subject, "solution": f"So $\\boxed{{{n}}}$."}
            for n in range(2)
        ]
        written(tmp_path, f"set/{subject}/test.jsonl", lines(*rows))
    configs = "".join(
        f"- config_name: {subject}\n  data_files:\n  - split: test\n    path: {subject}/test.jsonl\n"
        for subject in ("algebra", "geometry")
    )
    written(tmp_path, "set/README.md", f"---\nconfigs:\n{configs}---\n")
    done = program(
        f"remote = Hub(repository={str(tmp_path / 'set')!r}, revision=None, split='test',"
        " configs=('algebra', 'geometry'))\n"
        "task = replace(get_task('math'), parts=(Part(name='math', remote=remote),), problems=4)\n"
        "loaded = load_problems(task)\n"
        "print([(p.id, p.question, p.target, p.tags) for p in loaded.problems])\n"
        "print(loaded.source, loaded.remarks, sep='\\n')\n",
        HF_HOME=str(tmp_path / "cache"),
    )
    problems, source, remarks = done.stdout.splitlines()[-3:]
    assert problems == str(
        [
            (f"math-{2 * k + n}", f"P{n}", str(n), ("level:2", f"type:{subject}"))
            for k, subject in enumerate(("algebra", "geometry"))
            for n in range(2)
        ]
    )
    assert source == f"{tmp_path / 'set'}@main algebra+geometry test"
    assert "is not pinned" in remarks


@pytest.mark.parametrize(
    "environment",
    [
        {"HF_HUB_OFFLINE": "1"},
        # datasets tries five times, for 25 seconds in all
        pytest.param({"HF_ENDPOINT": "http://127.0.0.1:9"}, marks=pytest.mark.slow),
    ],
)
def test_no_hub(tmp_path: Path, environment: dict[str, str]) -> None:
    pytest.importorskip("datasets", reason="needs the package datasets, which the finetune extra brings")
    done = program("load_problems(get_task('gsm8k'))", HF_HOME=str(tmp_path), **environment)
    last = done.stderr.splitlines()[-1]
    assert (
        last.startswith("mumath_agent.errors.InputError: can't load openai/gsm8k@740312a")
        and "--data-dir" in last
    )


def test_no_datasets() -> None:
    done = program("import sys\nsys.modules['datasets'] = None\nload_problems(get_task('gsm8k'))")
    assert "openai/gsm8k needs the package datasets (pip install datasets)" in done.stderr.splitlines()[-1]


def test_reading_files_imports_no_datasets(tmp_path: Path) -> None:
    written(tmp_path, "addsub.jsonl", lines(*ROWS))
    done = program(
        "import sys, pathlib\n"
        f"load_problems(get_task('addsub'), pathlib.Path({str(tmp_path)!r}))\n"
        "print('datasets' in sys.modules)"
    )
    assert done.stdout == "False\n", done.stderr
