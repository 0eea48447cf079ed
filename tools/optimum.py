"""How often plans are optimal: the planner against every way to chunk hundreds of small random graphs.

    python -m tools.optimum --graphs 300

For each graph a budget and a time ratio are drawn; each answer is compared with the best of all node sets,
flows, counts and forms, up to three regions at once, priced as emitted (`tests.plan.brute`). Gaps are listed
by the rule of the planner that they are due to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from math import isinf
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.plan.region import Region
from tests.plan.drawn import draw
from tests.plan.gaps import SAME, Answer, Cause, Mode, Outcome, Question

SCHEMA = 1


def outcomes(seeds: Iterable[int], sizes: Sequence[bool]) -> Iterator[Outcome]:
    """Both questions about each graph, small and large."""
    model = CostModel.load()
    for seed in seeds:
        for large in sizes:
            question = Question(seed, draw(seed, large=large), model, large=large)
            yield from map(question.ask, Mode)


def table(found: Sequence[Outcome]) -> Table:
    """Counts and gaps by mode and cause."""
    made = Table(
        "mode", "cause", "graphs", "median gap", "worst gap", "only the best one meets the goal", "worst"
    )
    for mode in Mode:
        for cause in Cause:
            rows = [o for o in found if o.mode is mode and o.cause is cause]
            gaps = sorted(o.gap for o in rows if not isinf(o.gap))
            worst = max(rows, key=lambda o: o.gap, default=None)
            if worst is not None:
                made.add_row(
                    mode.value,
                    cause.value,
                    str(len(rows)),
                    f"{gaps[len(gaps) // 2]:.1%}" if gaps else "",
                    f"{gaps[-1]:.1%}" if gaps else "",
                    str(len(rows) - len(gaps)),
                    "" if cause is Cause.NONE else f"seed {worst.seed}{' large' if worst.large else ''}",
                )
    return made


def record(outcome: Outcome) -> dict[str, object]:
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


@click.command()
@click.option("--graphs", default=300, show_default=True, help="How many graphs of each size.")
@click.option("--first", default=0, show_default=True, help="Seed of the first.")
@click.option("--size", type=click.Choice(["small", "large", "both"]), default="both", show_default=True)
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write every outcome to this file.")
def main(graphs: int, first: int, size: str, path: Path | None) -> None:
    """Compare plans of random graphs with the optimum."""
    console = Console(stderr=True)
    sizes = {"small": [False], "large": [True], "both": [False, True]}[size]
    seeds = track(range(first, first + graphs), console=console, disable=not console.is_terminal)
    found = list(outcomes(seeds, sizes))
    Console(width=110).print(table(found))
    off = [
        o for o in found if abs(o.mispriced_s) > SAME * max(1e-3, abs(o.answer.seconds) if o.answer else 0)
    ]
    for outcome in off:
        click.echo(f"seed {outcome.seed}: the plan's time is off by {outcome.mispriced_s:.3g} s")
    if path is not None:
        path.write_text(
            json.dumps({"schema": SCHEMA, "outcomes": list(map(record, found))}), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
