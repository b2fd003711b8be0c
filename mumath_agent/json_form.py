"""Records as plain JSON values, and back. Unknown keys are errors; keys that are missing take the field's default."""

from dataclasses import is_dataclass
from typing import Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from mumath_agent.errors import InputError

T = TypeVar("T")

OMITTED_IF_NONE = Field(exclude_if=lambda value: value is None)
"""Marks a field whose key the JSON has only where it has a value."""
_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}
"""Building one costs milliseconds."""


def to_json(record: Any) -> Any:
    """Return any record as plain JSON values (dict, list, str, int, float, bool, None)."""
    if not is_dataclass(record) or isinstance(record, type):
        raise TypeError(f"{record!r} isn't a record")
    return _adapter(type(record)).dump_python(record, mode="json")


def from_json(record_type: type[T], value: Any) -> T:
    """Return the record whose `to_json` is `value`.

    Raises:
        InputError: `value` has an unknown key, lacks a required one, or holds a value of the wrong type.
    """
    value = _renamed(value)
    try:
        record: T = _adapter(record_type).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"not a valid {record_type.__name__}: {where}: {first['msg']}") from None
    if (unknown := _unknown_key(value, to_json(record))) is not None:
        raise InputError(f"not a valid {record_type.__name__}: unknown key {unknown}")
    return record


def _renamed(value: Any) -> Any:
    """Return a `RunRecord` of schema 1, or its `Settings`, with today's names of their keys."""
    if isinstance(value, dict) and "settings" in value:
        return {**value, "settings": _renamed(value["settings"])}
    if isinstance(value, dict) and "replay" in value and "fresh_cells" in value:
        return {"rebuild_state" if key == "replay" else key: item for key, item in value.items()}
    return value


def _adapter(record_type: type[Any]) -> TypeAdapter[Any]:
    if record_type not in _ADAPTERS:
        _ADAPTERS[record_type] = TypeAdapter(record_type)
    return _ADAPTERS[record_type]


def _unknown_key(value: Any, known: Any) -> str | None:
    """Return the path of a key of `value` that `known` lacks, or None."""
    if isinstance(value, dict) and isinstance(known, dict):
        for key, item in value.items():
            if key not in known:
                return str(key)
            if (path := _unknown_key(item, known[key])) is not None:
                return f"{key}.{path}"
    elif isinstance(value, list) and isinstance(known, list):
        for position, (item, known_item) in enumerate(zip(value, known, strict=True)):
            if (path := _unknown_key(item, known_item)) is not None:
                return f"{position}.{path}"
    return None
