"""The report as one JSON object: `Report(...)` -> `{"schema": 1, "status": "chunked", ...}`."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections.abc import Mapping

from .record import SCHEMA, Report


def to_dict(report: Report) -> dict[str, object]:
    """The report in plain dicts, lists, numbers and texts; keys are the records' field names."""
    return {"schema": SCHEMA, **_members(report)}


def to_text(report: Report) -> str:
    """The report as indented JSON text."""
    return json.dumps(to_dict(report), indent=2, ensure_ascii=False, allow_nan=False)


def _members(record: object) -> dict[str, object]:
    fields = getattr(type(record), "__dataclass_fields__", {})
    return {name: _plain(getattr(record, name)) for name in fields}


def _plain(value: object) -> object:
    """`value` without our types; a number that JSON cannot write (inf, nan) becomes null."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return _members(value) if dataclasses.is_dataclass(value) else value
