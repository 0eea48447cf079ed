"""Makes `onnx_autochunk/cuda/kernels.json` of ONNX Runtime's lists of kernels.

    python -m tools.kernels 1.25=OperatorKernels-1.25.md 1.31.1=OperatorKernels.md

Each list is docs/OperatorKernels.md of a version of ONNX Runtime, or what tools/python/gen_opkernel_doc.py of
its source writes for a build. What the last list says is stored; what the first one lacks is marked as new.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import onnx

from onnx_autochunk.cuda.kernels import FILE, STANDARD

PROVIDER = "CUDAExecutionProvider"
SHORT = {"float": "float32", "double": "float64"}
Types = Mapping[str, frozenset[str]]
# A list leaves out kernels that name no types. Source: cuda/object_detection/non_max_suppression.cc.
UNLISTED = (("NonMaxSuppression", 11, None), ("NonMaxSuppression", 10, 10))


@dataclass(frozen=True)
class Row:
    """One line of a list: an operator in a range of versions; parameters are (side, type variable)."""

    domain: str
    op: str
    since: int
    until: int | None
    parameters: tuple[tuple[str, str], ...]
    types: Types


def rows(text: str) -> Iterator[Row]:
    """The lines of CUDA's section."""
    section = text.partition(f"## Operators implemented by {PROVIDER}")[2].partition("\n## ")[0]
    domain = op = ""
    parameters: tuple[tuple[str, str], ...] = ()
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if found := re.match(r"\|\*\*Operator Domain:\*\* \*(.*?)\*", line):
            domain = found[1]
        elif line.startswith("|") and domain and (span := re.match(r"\|(.*?)\|(.*)\|(.*?)\|(.*)\|$", line)):
            if not cells[-1]:
                continue
            if span[1]:
                op, parameters = span[1], _parameters(span[2])
            since, until = _range(span[3])
            yield Row(domain, op, since, until, parameters, _types(span[4]))


def _parameters(cell: str) -> tuple[tuple[str, str], ...]:
    """Those of the first signature: the newest one comes first."""
    first = cell.partition("<br><br>or<br><br>")[0]
    return tuple(re.findall(r"\*(in|out)\* [^:]*:\*\*(.*?)\*\*", first))


def _range(cell: str) -> tuple[int, int | None]:
    numbers = [int(number) for number in re.findall(r"\d+", cell)]
    return numbers[0], None if cell.endswith("+") else numbers[-1]


def _types(cell: str) -> dict[str, frozenset[str]]:
    """`**T** = tensor(float), seq(tensor(bool))` -> {"T": {"float32", "bool"}}."""
    parts = re.findall(r"\*\*(\w+)\*\* = ([^*]*)", cell)
    return {
        name: frozenset(SHORT.get(kind, kind) for kind in re.findall(r"(\w+)\)+", kinds))
        for name, kinds in parts
    }


def _signature(row: Row) -> tuple[list[str], list[str]]:
    """Type variables of operands and results: of ONNX where it knows the version, otherwise of the list."""
    domain = "" if row.domain == STANDARD else row.domain
    if onnx.defs.has(row.op, row.since, domain):
        schema = onnx.defs.get_schema(row.op, row.since, domain)
        return [one.type_str for one in schema.inputs], [one.type_str for one in schema.outputs]
    sides: dict[str, list[str]] = {"in": [], "out": []}
    for side, variable in row.parameters:
        sides[side].append(variable)
    return sides["in"], sides["out"]


def _versions(row: Row) -> list[int]:
    """Opsets of ONNX that changed the operator; of one that ONNX does not know, the kernels' own."""
    domain = "" if row.domain == STANDARD else row.domain
    return sorted(
        schema.since_version
        for schema in onnx.defs.get_all_schemas_with_history()
        if (schema.domain, schema.name) == (domain, row.op)
    )


def _record(row: Row, old: Mapping[tuple[str, str, int], Row]) -> dict[str, object]:
    operands, results = _signature(row)
    until = {} if row.until is None else {"until": row.until}
    before = old.get((row.domain, row.op, row.since))
    is_new = bool(row.types) and (before is None or (before.until, before.types) != (row.until, row.types))
    return {
        "since": row.since,
        **until,
        "operands": " ".join(operands),
        "results": " ".join(results),
        "types": {name: " ".join(sorted(types)) for name, types in row.types.items()},
        **({"new": True} if is_new else {}),
    }


def table(first: str, last: str) -> list[dict[str, object]]:
    """The operators of the last list; what the first one does not say word for word is new."""
    old = {(row.domain, row.op, row.since): row for row in rows(first)}
    grouped: dict[tuple[str, str], list[Row]] = {}
    unlisted = (Row(STANDARD, op, since, until, (), {}) for op, since, until in UNLISTED)
    for row in chain(rows(last), unlisted):
        grouped.setdefault((row.domain, row.op), []).append(row)
    return [
        {
            "domain": domain,
            "op": op,
            "versions": _versions(found[0]) or sorted({row.since for row in found}),
            "kernels": [_record(row, old) for row in found],
        }
        for (domain, op), found in grouped.items()
    ]


def main(arguments: list[str]) -> None:
    """Write the table of the lists that `arguments` name, VERSION=FILE each, oldest first."""
    lists = dict(argument.split("=", maxsplit=1) for argument in arguments)
    texts = [Path(file).read_text(encoding="utf-8") for file in lists.values()]
    records = ",\n".join(json.dumps(record) for record in table(texts[0], texts[-1]))
    versions = json.dumps(list(lists))
    FILE.write_text(f'{{"onnxruntime": {versions}, "operators": [\n{records}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
