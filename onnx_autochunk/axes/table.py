"""The table of operators: which axes pass, or why none does, and on how many calls that is proved.

It is read from `operators.json`, which `python -m tools.prove` writes: the oracle needs the tests and ONNX
Runtime, the table neither.

    Row("ai.onnx", "Flatten", since=1, rule="a0 a1 a2 -> (a0 a1) a2", cases=4, axes_proved=10, ...)
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

FILE = Path(__file__).with_name("operators.json")
STANDARD = "ai.onnx"
NOTHING = "nothing"
PLAIN_WIDTH = 200  # of files and pipes, where a row on one line is worth more than a narrow page


@dataclass(frozen=True, slots=True)
class Row:
    """One operator in a range of opsets; it has a rule, a barrier with its reason, or nothing.

    Attributes:
        since: first opset of the range.
        until: first opset after the range, None for the newest.
        family: name of the module that holds the rule.
        rule: in notation; where the rule depends on the node, that of one call, its sizes left out.
        notes: what the notation cannot say.
        cases: calls that the oracle has run.
        axes_proved: pairs of a call and an axis that passes.
        added: ONNX does not know it: ONNX Runtime has put it into a domain of ONNX.
    """

    domain: str
    op: str
    since: int
    until: int | None = None
    family: str = ""
    rule: str | None = None
    notes: tuple[str, ...] = ()
    barrier: str | None = None
    cases: int = 0
    axes_proved: int = 0
    added: bool = False

    @property
    def group(self) -> str:
        """The domain, for counting; operators that ONNX Runtime adds to one are a group of their own."""
        return f"{self.domain}, added by ONNX Runtime" if self.added else self.domain

    @property
    def versions(self) -> str:
        """`13+`, `1-12` or `9`."""
        if self.until is None:
            return f"{self.since}+"
        last = self.until - 1
        return str(last) if last == self.since else f"{self.since}-{last}"

    def says(self, quote: str = "") -> str:
        """The rule, between quotes, with its notes; or the reason why there is none."""
        if self.rule is not None:
            return "; ".join((f"{quote}{self.rule}{quote}", *self.notes))
        return NOTHING if self.barrier is None else f"barrier: {self.barrier}"


@dataclass(frozen=True, slots=True)
class Count:
    """How many live operators of a group have what."""

    group: str
    ruled: int
    barred: int
    missing: int

    def __str__(self) -> str:
        total = self.ruled + self.barred + self.missing
        has = (
            f"{self.ruled} with a rule, {self.barred} with a reasoned barrier, {self.missing} with {NOTHING}"
        )
        return f"{self.group}: {total} operators, {has}"


@cache
def recorded() -> tuple[dict[str, str], tuple[Row, ...]]:
    """Versions of the packages that the rules were proved with, and all rows in order."""
    found = json.loads(FILE.read_text(encoding="utf-8"))
    rows = (Row(**{**row, "notes": tuple(row.get("notes", ()))}) for row in found["rows"])
    return found["proved_with"], tuple(rows)


def rows(domain: str | None = None, patterns: Collection[str] = ()) -> tuple[Row, ...]:
    """The rows of one domain (`""` is `ai.onnx`) whose operator matches one of the patterns; without, all."""
    wanted = STANDARD if domain == "" else domain
    lowered = [pattern.lower() for pattern in patterns]
    return tuple(
        row
        for row in recorded()[1]
        if wanted in (None, row.domain)
        and (not lowered or any(fnmatchcase(row.op.lower(), pattern) for pattern in lowered))
    )


def counts(found: Iterable[Row]) -> tuple[Count, ...]:
    """One count for each group; operators that the newest opset lacks are left out."""
    ruled: dict[str, set[str]] = {}
    barred: dict[str, set[str]] = {}
    live: dict[str, set[str]] = {}
    for row in found:
        for having, belongs in ((live, row.until is None), (ruled, row.rule), (barred, row.barrier)):
            members = having.setdefault(row.group, set())
            if belongs:
                members.add(row.op)
    return tuple(_count(group, live[group], ruled[group], barred[group]) for group in live)


def _count(group: str, live: set[str], ruled: set[str], barred: set[str]) -> Count:
    with_rule, with_reason = live & ruled, (live & barred) - ruled
    return Count(group, len(with_rule), len(with_reason), len(live - with_rule - with_reason))


def to_json(found: Iterable[Row]) -> str:
    """A list with one object for each row; one that has nothing lacks both `rule` and `barrier`."""
    return json.dumps([_record(row) for row in found], indent=2)


def _record(row: Row) -> dict[str, Any]:
    has = {"rule": row.rule, "barrier": row.barrier}
    return {
        "domain": row.domain,
        "op": row.op,
        "since_version": row.since,
        **{name: text for name, text in has.items() if text is not None},
        "cases": row.cases,
        "axes_proved": row.axes_proved,
    }


def to_text(found: Sequence[Row], width: int = PLAIN_WIDTH) -> str:
    """The table as plain text: no colours, no spaces at the ends of lines."""
    page = io.StringIO()
    Console(file=page, width=width, color_system=None, force_terminal=False).print(render(found))
    return "".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines())


def render(found: Sequence[Row]) -> RenderableType:
    """One table for each domain and the counts, for any rich console."""
    return Group(*_parts(found))


def _parts(found: Sequence[Row]) -> Iterator[RenderableType]:
    for domain in dict.fromkeys(row.domain for row in found):
        look = box.SIMPLE_HEAD
        table = Table(title=domain, title_justify="left", title_style="bold", box=look, show_edge=False)
        yield filled(table, [row for row in found if row.domain == domain])
        yield ""
    yield Text("\n".join(map(str, counts(found))))


def filled(table: Table, found: Iterable[Row], quote: str = "") -> Table:
    """The empty table with the columns and rows that every rendering has; rules stand between quotes."""
    table.add_column("operator", no_wrap=True)
    table.add_column("versions", no_wrap=True)
    table.add_column("rule", overflow="fold")
    table.add_column("cases", justify="right", no_wrap=True)
    table.add_column("axes proved", justify="right", no_wrap=True)
    for row in found:
        table.add_row(
            *map(Text, (row.op, row.versions, row.says(quote), str(row.cases), str(row.axes_proved)))
        )
    return table
