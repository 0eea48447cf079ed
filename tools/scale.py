"""Shows how the work grows with the model: CPU seconds of each stage on GPT-2s of 1,000 to 20,000 ops.

`python -m tools.scale` rewrites models of equal layers and of layers that all differ, each in a process of
its own and without running them, and fits the growth exponent, the slope of log seconds over log ops:

    seconds 1, 2.1, 5.5, 11, 23 at 1,000, 2,000, 5,000, 10,000, 20,000 ops   ->   1.05

Processes are timed in CPU seconds, which other work on the machine changes little. Exit code 1 says that a
limit is broken.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
from rich import box
from rich.console import Console
from rich.table import Table

from onnx_autochunk.runtime.launch import call
from tools.scale_child import rewrite
from tools.scale_models import caching_layers, different_layers, equal_layers

SIZES = (1000, 2000, 5000, 10000, 20000)
EXPONENT = 1.2
JUDGED = 10000  # ops of the model whose seconds are limited, and no smaller one is
STAGES = ("load", "analyze", "search", "select", "save")


@dataclass(frozen=True)
class Kind:
    """Models that differ in size only.

    Attributes:
        budget: what is asked for; None asks for least memory, as the command line does.
        limits: most CPU seconds of columns at `JUDGED` ops.
    """

    name: str
    make: Callable[[int], onnx.ModelProto]
    budget: str | None
    limits: Mapping[str, float]


KINDS = (
    Kind("equal", equal_layers, None, {"whole": 15.0, "search + select": 5.0}),
    Kind("budgeted", equal_layers, "40%", {"whole": 15.0, "search + select": 5.0}),
    Kind("caching", caching_layers, None, {"whole": 60.0}),
    Kind("different", different_layers, None, {"whole": 60.0}),
)


@dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
        cpu_s: by stage, "start" being what passes before the first one, and of the whole process.
    """

    kind: str
    ops: int
    regions: int
    cpu_s: Mapping[str, float]

    def seconds(self, column: str) -> float:
        """Of a stage or of several, `a + b`; what is done between stages counts in "work" and "whole"."""
        return sum(self.cpu_s.get(name, 0.0) for name in column.split(" + "))


def measure(kind: Kind, ops: int) -> Row:
    """Rewrite one model, as the command line does with `--no-verify`, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "in.onnx", Path(folder) / "out.onnx"
        model = kind.make(ops)
        onnx.save(model, source)
        answer = call(rewrite, {"source": str(source), "out": str(out), "budget": kind.budget})
    return Row(kind.name, len(model.graph.node), answer["regions"], answer["cpu_s"])


def exponent(rows: Sequence[Row], column: str) -> float:
    """How seconds grow with ops: 1 is linear, 2 quadratic.

    Starting Python and importing packages takes the same for every model and would hide the growth of
    "whole"; "work" is the whole without it.
    """
    seconds = [max(row.seconds(column), 1e-3) for row in rows]
    slope, _ = np.polyfit(np.log([row.ops for row in rows]), np.log(seconds), 1)
    return float(slope)


def broken(kind: Kind, rows: Sequence[Row]) -> list[str]:
    """The limits that are not kept, in words."""
    found = []
    for row in rows:
        for column, limit in kind.limits.items():
            if row.ops <= 1.05 * JUDGED and row.seconds(column) > limit:
                found.append(f"{column} of {row.ops:,} ops: {row.seconds(column):.1f} s, at most {limit:g} s")
    if len(rows) > 1 and (growth := exponent(rows, "work")) > EXPONENT:
        found.append(f"growth exponent: {growth:.2f}, at most {EXPONENT}")
    return [f"{kind.name} layers: {what}" for what in found]


def table(kind: Kind, rows: Sequence[Row]) -> Table:
    """CPU seconds by stage, and their growth: from each size to the next, and over all."""
    columns = (*STAGES, "search + select", "work", "whole")
    made = Table(title=f"{kind.name} layers, CPU seconds", box=box.MARKDOWN)
    for name in ("ops", "regions", *columns):
        made.add_column(name, justify="right")
    made.add_column("exponent of work", justify="right")
    for before, row in zip((None, *rows), rows, strict=False):
        growth = "" if before is None else f"{exponent((before, row), 'work'):.2f}"
        seconds = (f"{row.seconds(name):.2f}" for name in columns)
        made.add_row(f"{row.ops:,}", f"{row.regions:,}", *seconds, growth)
    if len(rows) > 1:
        growths = [f"{exponent(rows, name):.2f}" for name in columns[:-1]]
        made.add_row("exponent", "", *growths, "", growths[-1])
    return made


@click.command()
@click.option("--sizes", default=",".join(map(str, SIZES)), show_default=True, help="Ops of the models.")
@click.option("--kind", "kinds", type=click.Choice([kind.name for kind in KINDS]), multiple=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def main(*, sizes: str, kinds: tuple[str, ...], as_json: bool) -> None:
    """Measure how the work grows with the model."""
    console, answer, faults = Console(width=140), {}, []
    for kind in KINDS:
        if kinds and kind.name not in kinds:
            continue
        rows = [measure(kind, int(size)) for size in sizes.split(",")]
        faults += broken(kind, rows)
        answer[kind.name] = _as_json(rows)
        if not as_json:
            console.print(table(kind, rows))
    if as_json:
        click.echo(json.dumps({"kinds": answer, "broken": faults}, indent=1))
    elif faults:
        click.echo("BROKEN: " + "; ".join(faults))
    if faults:
        raise click.exceptions.Exit(1)


def _as_json(rows: Sequence[Row]) -> dict[str, Any]:
    growth = exponent(rows, "work") if len(rows) > 1 else None
    return {"exponent": growth, "rows": [asdict(row) for row in rows]}


if __name__ == "__main__":
    main()
