"""Runs the oracle over all its calls and writes down what it proved.

`python -m tools.prove` writes two files, which are committed:

    onnx_autochunk/axes/operators.json      one row a line, from which `python -m onnx_autochunk.axes` prints
    docs/operators.md                       the same for readers, by domain and family, behind a preface

Operators that only ONNX or ONNX Runtime knows are rows with nothing. A rule that is wrong stops it.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

import click
import onnx
from rich import box
from rich.console import Console
from rich.table import Table

from onnx_autochunk.axes import Rule, table, written
from onnx_autochunk.axes.registry import LATEST, Entry, Node, entries, registered
from onnx_autochunk.axes.table import STANDARD, Row
from onnx_autochunk.runtime.library import onnxruntime
from tests.axes.oracle import Case, graph_of, runner
from tests.axes.proof import Proof, cases_of, passing, proofs, proved

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "operators.md"
RULES = "onnx_autochunk.axes.rules"
CONTRIB = "com.microsoft"
MARKER = "<!-- What follows is written by `python -m tools.prove`. -->"
WIDTH = 1000  # a row is one line

Lives = dict[tuple[str, str], tuple[int, int]]  # first opset that has an operator, first that lacks it again


def all_rows() -> tuple[Row, ...]:
    """A row for each entry of the registry, and one for each other operator; standard ones first."""
    lives = _lives()
    found = [_row(entry, proof, lives) for entry, proof in zip(entries(), proofs(), strict=True)]
    found += [Row(key[0] or STANDARD, key[1], lives[key][0]) for key in set(lives) - set(registered())]
    return tuple(sorted(found, key=lambda row: (row.domain != STANDARD, row.domain, row.op, row.since)))


def _lives() -> Lives:
    """Operators of the domains that have rules: those of the newest opset, and old ones that have a rule."""
    ruled = set(registered())
    domains = {domain for domain, _ in ruled}
    lives: Lives = {(CONTRIB, name): (1, LATEST) for name in _contrib()}
    ends: dict[tuple[str, str], int] = {}
    for schema in onnx.defs.get_all_schemas():
        key = schema.domain, schema.name
        if schema.domain in domains and (not schema.deprecated or key in ruled):
            ends[key] = schema.since_version if schema.deprecated else LATEST
    for schema in onnx.defs.get_all_schemas_with_history():
        key = schema.domain, schema.name
        if key in ends:
            first, _ = lives.get(key, (LATEST, LATEST))
            lives[key] = min(first, schema.since_version), ends[key]
    return lives


def _contrib() -> set[str]:
    """What ONNX Runtime calls its own operators."""
    state = onnxruntime().capi.onnxruntime_pybind11_state
    return {schema.name for schema in state.get_all_operator_schema() if schema.domain == CONTRIB}


def _row(entry: Entry, proof: Proof, lives: Lives) -> Row:
    first, end = lives.get((entry.domain, entry.type), (1, LATEST))
    until = min(entry.until, end)
    best = max(cases_of(entry), key=_telling, default=None)
    return Row(
        entry.domain or STANDARD,
        entry.type,
        since=max(entry.since, first),
        until=None if until == LATEST else until,
        family=entry.family,
        rule=None if best is None or proof.barrier is not None else notation(entry, best),
        notes=() if best is None else tuple(_notes(proved(best))),
        barrier=proof.barrier,
        cases=proof.cases,
        axes_proved=proof.axes_proved,
        added=_is_added(entry),
    )


def _is_added(entry: Entry) -> bool:
    """True when ONNX has the domain, but not the operator."""
    known = {(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas()}
    return (entry.domain, entry.type) not in known and any(entry.domain == domain for domain, _ in known)


def _telling(case: Case) -> tuple[int, int]:
    """How much a case shows of its rule: how many axes pass, how many of them in a special way."""
    rule = proved(case)
    special = [f for f in rule.factors if f.patches or f.crop or any(p.window for p in f.operands if p)]
    return passing(rule), len(special)


def notation(entry: Entry, case: Case) -> str:
    """The rule of a call as the family file writes it, without sizes."""
    if entry.notation is not None:
        return entry.notation
    graph = graph_of(case, runner(case)(case.operands))
    op = graph.ops[0]
    answer = entry.make(
        Node(op, graph, tuple(map(graph.shape, op.inputs)), tuple(map(graph.shape, op.outputs)))
    )
    if isinstance(answer, Rule):
        return written(answer).split(" | ")[0]
    return re.sub(r"=\d+", "", answer if isinstance(answer, str) else answer.text)


def _notes(rule: Rule) -> Iterator[str]:
    """What the notation cannot say; factors that change the same are named together."""
    yield from (f"operand {operand} spells result {result}" for operand, result in rule.sizes.items())
    changed: dict[str, list[str]] = {}
    for factor in rule.factors:
        targets = [p.target if isinstance(p.target, str) else f"operand {p.target}" for p in factor.patches]
        if targets:
            changed.setdefault(", ".join(targets), []).append(factor.name)
    yield from (f"a chunk of {', '.join(names)} changes {what}" for what, names in changed.items())
    if cropped := [factor.name for factor in rule.factors if factor.crop]:
        yield f"a chunk of {', '.join(cropped)} is cropped"


# Files


def data(rows: Iterable[Row]) -> str:
    """The data file; what is not there is left out."""
    lines = (json.dumps({name: value for name, value in asdict(row).items() if value}) for row in rows)
    packages = {"onnx": version("onnx"), "onnxruntime": onnxruntime().__version__}
    return f'{{"proved_with": {json.dumps(packages)}, "rows": [\n' + ",\n".join(lines) + "\n]}\n"


def page(preface: str) -> str:
    """The page of operators: what is recorded, behind its preface."""
    packages, rows = table.recorded()
    return f"{preface.partition(MARKER)[0]}{MARKER}\n\n{markdown(rows, packages)}"


def markdown(rows: Sequence[Row], packages: dict[str, str]) -> str:
    """The rows by domain and family, behind their counts."""
    proved_with = ", ".join(f"{name} {number}" for name, number in packages.items())
    parts = [f"Proved with {proved_with}.", "\n".join(f"- {count}" for count in table.counts(rows))]
    for domain, found in groupby(rows, key=lambda row: row.domain):
        parts += [f"## {domain}", *_families(list(found))]
    return "\n\n".join(parts) + "\n"


def _families(rows: Sequence[Row]) -> Iterator[str]:
    for family in sorted({row.family for row in rows if row.family}):
        path = f"{family.replace('.', '/')}.py"
        yield f"### [{family.removeprefix(f'{RULES}.')}](../{path})"
        yield (sys.modules[family].__doc__ or "").splitlines()[0]
        yield _markdown_table(row for row in rows if row.family == family)
    if missing := [f"`{row.op}`" for row in rows if not row.family]:
        yield f"### {table.NOTHING.capitalize()}"
        yield f"Barriers, because nobody has given them a rule: {', '.join(missing)}."


def _markdown_table(rows: Iterable[Row]) -> str:
    text = io.StringIO()
    console = Console(file=text, width=WIDTH, color_system=None, force_terminal=False)
    console.print(table.filled(Table(box=box.MARKDOWN), rows, quote="`"))
    return text.getvalue().strip()


@click.command()
def main() -> None:
    """Prove every rule and write the table of operators."""
    table.FILE.write_text(data(all_rows()), encoding="utf-8")
    table.recorded.cache_clear()
    DOCS.write_text(page(DOCS.read_text(encoding="utf-8")), encoding="utf-8")
    click.echo("\n".join(map(str, table.counts(table.rows()))))


if __name__ == "__main__":
    main()
