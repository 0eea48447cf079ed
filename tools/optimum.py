"""How often plans are optimal: the planner against every way to chunk hundreds of small random graphs.

    python -m tools.optimum --json build/optimum.json --most-minutes 4     # again, until all are done

For each graph, small and large, a budget and a time ratio are drawn; each answer is compared with the best of
all node sets, flows, counts and forms, up to three regions at once, priced as emitted (`tests.plan.brute`).
Regions that accumulate and loops inside loops are not among these ways: plans with such are counted apart.
Gaps are listed by what they are due to (`tests.plan.gaps`), as Markdown tables.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf, isinf
from pathlib import Path
from typing import Any, TypeAlias

import click
from rich.console import Console
from rich.progress import track

from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.plan.region import Region
from tests.plan.drawn import draw
from tests.plan.gaps import SAME, Answer, Cause, Mode, Outcome, Question

SCHEMA = 2
NEAR = 0.01  # gaps up to this are counted apart
SUMMARY_HEAD = (
    "| asked for | answers | equal, proved | equal so far | none better | within 1 % | larger gap | missed |",
    "|---|---|---|---|---|---|---|---|",
)
HEAD = (
    "| asked for | cause of the gap | answers | in full | median gap | worst | goal missed | worst graph |",
    "|---|---|---|---|---|---|---|---|",
)
EQUAL = (Cause.NONE, Cause.BEYOND)

Record: TypeAlias = Mapping[str, Any]  # one outcome as JSON


def records(seed: int, sizes: Iterable[bool]) -> Iterator[Record]:
    """Both questions about the graphs of a seed, small and large."""
    for large in sizes:
        question = Question(seed, draw(seed, large=large), CostModel.load(), large=large)
        yield from (record(question.ask(mode)) for mode in Mode)


def record(outcome: Outcome) -> Record:
    """One outcome as JSON."""

    def answer(found: Answer | None) -> object:
        return None if found is None else {"seconds": found.seconds, "peak_bytes": found.peak_bytes}

    loops = outcome.way.loops if outcome.way else ()
    return {
        "seed": outcome.seed,
        "large": outcome.large,
        "mode": outcome.mode.value,
        "limit": outcome.limit,
        "answer": answer(outcome.answer),
        "best": answer(outcome.best),
        "gap": None if isinf(outcome.gap) else outcome.gap,
        "cause": outcome.cause.name.lower(),
        "steps": {c.name.lower(): None if isinf(gap) else gap for c, gap in outcome.steps.items()},
        "mispriced_s": outcome.mispriced_s,
        "complete": outcome.complete,
        "regions": [
            {
                "ops": loop.region.ops,
                "recomputed": sorted(loop.region.recomputed),
                "axis": _axis(loop.region),
                "form": loop.form.value,
                "length": loop.chunking.length,
            }
            for loop in loops
        ],
    }


def _axis(region: Region) -> int:
    """Which axis is cut, of the first output or of what is summed up."""
    carried = region.accumulator
    return region.outputs[0].position.axis if carried is None else carried.position.axis


def summary(found: Sequence[Record]) -> list[str]:
    """Answers by mode: how many are the optimum, and how far off the others are."""
    lines = list(SUMMARY_HEAD)
    for mode in Mode:
        rows = [o for o in found if o["mode"] == mode.value]
        equal = [o["complete"] for o in rows if o["cause"] == Cause.NONE.name.lower()]
        beyond = sum(o["cause"] == Cause.BEYOND.name.lower() for o in rows)
        gaps = [o["gap"] for o in rows if o["regions"]]
        small = sum(gap is not None and gap <= NEAR for gap in gaps)
        missed = gaps.count(None)
        counts = (sum(equal), len(equal) - sum(equal), beyond, small, len(gaps) - small - missed, missed)
        lines.append(f"| {mode.value} | {len(rows)} | {' | '.join(map(str, counts))} |")
    return lines


def table(found: Sequence[Record]) -> list[str]:
    """Answers by mode and cause: how many, those searched in full, gaps, and goals that the plan missed."""
    lines = list(HEAD)
    for mode in Mode:
        for cause in Cause:
            rows = [o for o in found if (o["mode"], o["cause"]) == (mode.value, cause.name.lower())]
            if rows:
                cells = (mode.value, cause.value, *_figures(rows, cause))
                lines.append(f"| {' | '.join(cells)} |")
    return lines


def _figures(rows: Sequence[Record], cause: Cause) -> tuple[str, ...]:
    counted = str(len(rows)), str(sum(o["complete"] for o in rows))
    if cause in EQUAL:
        return (*counted, "", "", "", "")
    gaps = sorted(o["gap"] for o in rows if o["gap"] is not None)
    worst = max(rows, key=lambda o: inf if o["gap"] is None else o["gap"])
    spread = (f"{gaps[len(gaps) // 2]:.1%}", f"{gaps[-1]:.1%}") if gaps else ("", "")
    return (*counted, *spread, str(len(rows) - len(gaps)), f"{worst['seed']}{' large' * worst['large']}")


def mispriced(found: Sequence[Record]) -> Iterator[str]:
    """Plans whose own figure of their time is not that of their regions, each by itself."""
    for one in (one for one in found if one["answer"]):
        if abs(one["mispriced_s"]) > SAME * max(1e-3, abs(one["answer"]["seconds"])):
            yield f"{one['seed']} {one['mode']}: the plan's time is off by {one['mispriced_s']:.3g} s"


@click.command()
@click.option("--graphs", default=210, show_default=True, help="How many graphs of each size.")
@click.option("--first", default=0, show_default=True, help="Seed of the first.")
@click.option("--size", type=click.Choice(["small", "large", "both"]), default="both", show_default=True)
@click.option("--most-minutes", type=float, default=inf, help="Stop after so many; the next call goes on.")
@click.option(
    "--json", "path", type=click.Path(path_type=Path), help="Where outcomes are kept; those there stay."
)
def main(graphs: int, first: int, size: str, most_minutes: float, path: Path | None) -> None:
    """Compare plans of random graphs with the optimum."""
    console, end_s = Console(stderr=True), time.monotonic() + 60 * most_minutes
    sizes = {"small": [False], "large": [True], "both": [False, True]}[size]
    found: list[Record] = _read(path)
    seeds = track(range(first, first + graphs), console=console, disable=not console.is_terminal)
    for seed in seeds:
        if time.monotonic() > end_s:
            break
        there = {one["large"] for one in found if one["seed"] == seed}
        found += records(seed, [large for large in sizes if large not in there])
        if path is not None:
            path.write_text(json.dumps({"schema": SCHEMA, "outcomes": found}), encoding="utf-8")
    click.echo("\n".join([*summary(found), "", *table(found), *mispriced(found)]))


def _read(path: Path | None) -> list[Record]:
    if path is None or not path.exists():
        return []
    kept = json.loads(path.read_text(encoding="utf-8"))
    if kept["schema"] != SCHEMA:
        raise click.UsageError(f"{path}: made by another version of this tool")
    return list(kept["outcomes"])


if __name__ == "__main__":
    main()
