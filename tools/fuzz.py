"""Random graphs with random plans, each against itself: nothing may differ, nothing may crash.

`python -m tools.fuzz --graphs 2000 --json F.jsonl` takes seeds 0 to 1999; called again with the same file it
goes on where it was, also behind a seed that took the whole process down. `--kind open` leaves sizes open,
`--kind bodies` chunks bodies of If, Loop and Scan. What is drawn and how it is compared: `tests.fuzz`.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from tests.fuzz.check import KINDS, Outcome, check

FRAMES = ("regions", "groups", "nested")
LEAST_SHARE = 0.6  # of the graphs have to get a region
DIED = "the process ended while this seed ran"


def table(outcomes: Sequence[Outcome]) -> Table:
    """What was tried and what came of it, in Markdown."""
    counts: list[tuple[str, Callable[[Outcome], object]]] = [
        ("graphs", lambda _: True),
        ("with regions", lambda one: one.regions),
        *[(form, lambda one, form=form: form in one.forms) for form in ("scan", "sweep", "unroll")],
        ("with feeders", lambda one: one.feeders),
        ("nested", lambda one: one.nested),
        ("in bodies", lambda one: one.enclosed),
        ("accumulating", lambda one: one.accumulating),
        *[(f"frames: {way}", lambda one, way=way: way in one.frames) for way in FRAMES],
        ("compared in several runs", lambda one: one.runs > 1),
        ("with differences that rounding explains", lambda one: one.unstable),
        ("less than half finite", lambda one: one.finite < 0.5),
        ("unequal", lambda one: one.unequal),
        ("crashed", lambda one: one.crashed),
    ]  # fmt: skip
    shown = Table("", "graphs", "share", box=box.MARKDOWN)
    for name, asks in counts:
        found = sum(bool(asks(one)) for one in outcomes)
        shown.add_row(name, str(found), f"{found / max(1, len(outcomes)):.0%}")
    return shown


def coverage(outcomes: Iterable[Outcome]) -> str:
    """How often each operator was in a region, and which were only outside."""
    chunked, seen = Counter[str](), Counter[str]()
    for one in outcomes:
        chunked.update(one.chunked)
        seen.update(one.types)
    inside = ", ".join(f"{name.removeprefix(':')} {times}" for name, times in sorted(chunked.items()))
    outside = ", ".join(name.removeprefix(":") for name in sorted(seen.keys() - chunked.keys()))
    return f"{len(chunked)} operators in regions: {inside}\nonly outside: {outside or 'none'}"


def failures(outcomes: Iterable[Outcome]) -> list[str]:
    """A line for each seed that failed."""
    return [
        f"seed {one.seed}: {one.unequal or one.crashed}" for one in outcomes if one.unequal or one.crashed
    ]


def _saved(file: Path | None) -> dict[int, Outcome]:
    """What was written, by seed: a line at its start, which stays if the process dies, one at its end."""
    if file is None or not file.exists():
        return {}
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {row["seed"]: Outcome(**{name: _frozen(value) for name, value in row.items()}) for row in rows}


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _write(outcome: Outcome, file: Path | None) -> None:
    if file is not None:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(outcome)) + "\n")


@click.command(context_settings={"show_default": True})
@click.option("--kind", type=click.Choice([*KINDS]), default="fixed", help="What is drawn.")
@click.option("--graphs", default=2000, help="So many seeds.")
@click.option("--first", default=0, help="The first of them.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Outcomes, one a line; kept."
)
@click.option("--seconds", type=float, help="Stop after so long; with --json, the next call goes on.")
def main(kind: str, graphs: int, first: int, json_file: Path | None, seconds: float | None) -> None:
    """Exit code 1 says that something differed or crashed, or that too few graphs got a region."""
    known, start = _saved(json_file), time.monotonic()
    for seed in range(first, first + graphs):
        if seconds is not None and time.monotonic() - start > seconds:
            click.echo("stopped; there are more", err=True)
            break
        if seed in known:
            continue
        _write(Outcome(seed, crashed=DIED), json_file)
        known[seed] = check(seed, kind)
        _write(known[seed], json_file)
        for line in failures([known[seed]]):
            click.echo(line, err=True)
    outcomes = [known[seed] for seed in sorted(known)]
    console = Console(width=120, highlight=False)
    console.print(table(outcomes))
    console.print(coverage(outcomes))
    for line in failures(outcomes):
        console.print(line)
    share = sum(bool(one.regions) for one in outcomes) / max(1, len(outcomes))
    sys.exit(bool(failures(outcomes)) or share < LEAST_SHARE)


if __name__ == "__main__":
    main()
