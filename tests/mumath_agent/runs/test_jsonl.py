"""Files of JSON lines: what a kill leaves is mended by one policy, and a replacement is whole or not there."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mumath_agent.errors import InputError
from mumath_agent.records import Problem
from mumath_agent.runs.jsonl import (
    append_line,
    load_records,
    mend,
    read_lines,
    read_objects,
    read_records,
    replace_file,
    replace_lines,
)

values = st.dictionaries(st.text(max_size=8), st.text(max_size=30) | st.integers(), max_size=3)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(values, min_size=1, max_size=5), cut=st.integers(0, 60))
def test_whatever_is_cut_off_whole_lines_stay_and_appending_goes_on(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]], cut: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "rows.jsonl"
    for row in rows:
        append_line(path, row)
    whole = path.read_bytes()
    left = whole[: max(0, len(whole) - cut)]
    path.write_bytes(left)
    kept = [json.loads(line.text) for line in read_lines(path)]
    assert kept == rows[: len(kept)] and len(kept) >= left.count(b"\n")
    mend(path)
    append_line(path, {"next": 1})
    assert [json.loads(line.text) for line in read_lines(path)] == [*kept, {"next": 1}]


def test_a_line_begins_where_append_said(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    starts = [append_line(path, {"é": number}) for number in range(3)]
    assert [line.start for line in read_lines(path)] == starts


def test_a_line_that_is_not_a_record_is_an_error_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text(
        '{"id": "a", "question": "q"}\n\n{"id": 1}\nnonsense\n{"id": "b", "question": "q"}', "utf-8"
    )
    found = list(read_records(path, Problem))
    assert [record.id if isinstance(record, Problem) else None for record in found] == ["a", None, None, "b"]
    assert [str(error).split(": ")[0] for error in found if isinstance(error, InputError)] == [
        f"{path} line 3",
        f"{path} line 4",
    ]
    with pytest.raises(InputError, match="line 3"):
        load_records(path, Problem)
    assert load_records(path, Problem, limit=1) == [Problem(id="a", question="q")]


def test_a_line_that_is_not_text_is_an_error_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"id": "a", "question": "q"}\n{"id": "\xff"}\n{"id": "b", "question": "q"}\n')
    first, error, last = read_records(path, Problem)
    assert isinstance(first, Problem) and isinstance(last, Problem)
    assert isinstance(error, InputError) and f"{path} line 2: not UTF-8" in str(error)


def test_a_file_without_a_record_or_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match="holds no Problem"):
        load_records(tmp_path / "empty", Problem)
    with pytest.raises(InputError, match="can't read"):
        load_records(tmp_path / "missing", Problem)


def test_a_replacement_keeps_the_mode_and_follows_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    replace_lines(link, [{"a": 1}])
    assert link.is_symlink() and target.read_text() == '{"a": 1}\n' and target.stat().st_mode & 0o777 == 0o600


def test_a_replacement_that_fails_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("old")

    def broken() -> object:
        yield "half a line"
        raise RuntimeError("the source of the lines broke")

    with pytest.raises(RuntimeError):
        replace_file(path, broken())  # type: ignore[arg-type]
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_can_not_be_written_is_an_input_error(tmp_path: Path) -> None:
    for write in (lambda path: append_line(path, {}), mend, lambda path: replace_file(path, "")):
        with pytest.raises(InputError, match="can't write"):
            write(tmp_path / "no" / "folder")


def test_objects_of_any_columns_come_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n\n{"b": 2}\n')
    assert list(read_objects(path)) == [(f"{path} line 1", {"a": 1}), (f"{path} line 3", {"b": 2})]


@pytest.mark.parametrize(
    ("line", "message"), [("{", "line 2: not valid JSON"), ("[]", "line 2: a JSON object is expected")]
)
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"a": 1}}\n{line}\n')
    with pytest.raises(InputError, match=message):
        list(read_objects(path))
