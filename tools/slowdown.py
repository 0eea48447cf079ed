"""Holds the predicted slowdown of plans against the measured one, over plans of every form and size.

`python -m tools.slowdown` takes plans spread over the Pareto front of each example model, emits them, times
them against the original in interleaved pairs, and writes a table, a JSON file and a scatter plot:

    gpt2 scan 0.33  ->  | gpt2 | scan | 16 x 2, 24 x 8 | 0.97 | 0.99 | +0.02 |

What is measured is kept in the JSON file, so that a quiet machine can be used in short windows
(`--most-minutes 8`, `--only gpt2`): the next call goes on with the plans that are missing. A measurement
stands for as long as its plan is still the one that is chosen; its prediction is always that of today.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import exp, log
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.emit.weave import usable_forms
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.loaded import Loaded
from onnx_autochunk.graph.save import save
from onnx_autochunk.graph.stand_ins import write_out
from onnx_autochunk.options import Form, Options
from onnx_autochunk.plan.plan import Plan, PlannedRegion
from onnx_autochunk.plan.planner import make_planner
from onnx_autochunk.trial import Trials
from onnx_autochunk.verify.inputs import random_inputs, read_specs
from onnx_autochunk.verify.measure import measure_time
from tools.bench import ROOT, WIDTH, export, read_arguments, setting
from tools.busy import Pairs, measure_cpu_time
from tools.cases import PLAIN
from tools.scatter import BAND, draw

# Budgets between the least one (0) and the original's peak (1) on a logarithmic scale, for each form.
PLACES: Mapping[Form, tuple[float, ...]] = {
    Form.AUTO: (0.0, 0.15, 0.3, 0.5, 0.75),
    Form.SCAN: (0.1, 0.6),
    Form.UNROLL: (0.1, 0.6),
    Form.SWEEP: (0.1, 0.6),
}
PAIRS = 15  # in five processes
MOST = 2.0  # slower plans are nobody's choice: next to the least budget of all, chunks are single rows
WANTED = 0.75  # share of the plans whose prediction is to lie within the band

Loops = tuple[tuple[str, str, int, int], ...]  # of each loop: name, form, length, count


@dataclass(frozen=True)
class Row:
    """One plan of one model: what was predicted, and the pairs of seconds that were measured.

    Attributes:
        form: what was asked for; regions of `auto` may be written in any.
        place: of the budget, in `PLACES`.
        loops: what the plan consists of, by which a measurement is found again.
        clock: "wall" or "cpu".
        pairs: seconds of the original and of the result; none until they are measured.
    """

    model: str
    form: str
    place: float
    loops: Loops
    clock: str
    predicted: float
    pairs: Pairs = ()

    @property
    def measured(self) -> float | None:
        """Ratio of the least times: what else goes on, here or on a virtual machine's host, adds to them."""
        if not self.pairs:
            return None
        return min(b for _, b in self.pairs) / min(a for a, _ in self.pairs)

    @property
    def error(self) -> float | None:
        """Predicted minus measured."""
        return None if self.measured is None else self.predicted - self.measured

    @property
    def key(self) -> tuple[str, str, Loops]:
        """What a measurement depends on."""
        return self.model, self.clock, self.loops

    @property
    def chunks(self) -> str:
        """Counts of the loops' chunks, the most frequent first: `4 x 32, 2 x 7`."""
        counts = Counter(count for _, _, _, count in self.loops).most_common()
        return ", ".join(f"{times} x {count}" for count, times in counts)


@dataclass(frozen=True)
class Subject:
    """A model whose plans are timed."""

    name: str
    path: Path
    clock: str

    @cached_property
    def loaded(self) -> Loaded:
        """The model as it is rewritten."""
        return write_out(load(self.path))

    def plans(self) -> Iterator[tuple[Row, Trials, Plan]]:
        """Plans that differ, with the rows that they are to fill."""
        known = set[Loops]()
        for form, places in PLACES.items():
            trials = self._trials(form)
            for place in places:
                plan = trials.planner.within(_budget(trials, place))
                if plan is None or not _is_choice(plan) or loops(plan) in known:
                    continue
                known.add(loops(plan))
                predicted = trials.carry_out(plan).draft.slowdown
                yield Row(self.name, form.value, place, loops(plan), self.clock, predicted), trials, plan

    def _trials(self, form: Form) -> Trials:
        options = Options(form=form)
        forms = usable_forms(self.loaded, options)
        planner = make_planner(self.loaded.graph, options, CostModel.load(options.provider), forms)
        return Trials(planner, self.loaded)

    def time(self, trials: Trials, plan: Plan, pairs: int, threads: int) -> Pairs:
        """Seconds of the original and of the plan's model, in runs that directly followed each other."""
        out = self.path.with_name(f"{self.name}-slowdown.onnx")
        inputs = random_inputs(read_specs(self.path), seed=0)
        try:
            save(trials.carry_out(plan).model, out)
            if self.clock == "cpu":
                return measure_cpu_time(self.path, out, inputs, pairs)
            return measure_time(self.path, out, inputs, pairs=pairs, threads=threads).pairs
        finally:
            out.unlink(missing_ok=True)


def loops(plan: Plan) -> Loops:
    """What a plan consists of: every loop after its feeders and before those inside it."""
    return tuple(loop for planned in plan.regions for loop in _loops(planned))


def _loops(planned: PlannedRegion) -> Loops:
    chunking, nested = planned.chunking, planned.nested
    fed = (loop for feeder in planned.feeders for loop in _loops(feeder))
    inner = (loop for region in nested.regions for loop in _loops(region)) if nested else ()
    return (*fed, (planned.name, planned.form.value, chunking.length, chunking.total), *inner)


def _is_choice(plan: Plan) -> bool:
    return bool(plan.regions) and plan.predicted_slowdown <= MOST


def _budget(trials: Trials, place: float) -> int:
    planner = trials.planner
    low, high = log(planner.floor_bytes), log(planner.timeline.peak_bytes)
    return int(exp(low + place * (high - low))) + 1


def read_rows(file: Path) -> list[Row]:
    """The rows of an earlier call; none when there was none."""
    if not file.exists():
        return []
    return [_row(found) for found in json.loads(file.read_text(encoding="utf-8"))["rows"]]


def _row(found: Mapping[str, Any]) -> Row:
    fields = {name: found[name] for name in ("model", "form", "place", "clock", "predicted")}
    return Row(
        **fields, loops=tuple(map(tuple, found["loops"])), pairs=tuple((a, b) for a, b in found["pairs"])
    )


def write_rows(file: Path, rows: Sequence[Row], where: Mapping[str, Any]) -> None:
    """Keep what is known; the file is whole at any time."""
    found = [asdict(row) | {"measured": row.measured, "chunks": row.chunks} for row in rows]
    part = file.with_suffix(".part")
    part.write_text(json.dumps({"setting": dict(where), "rows": found}, indent=1) + "\n", encoding="utf-8")
    part.replace(file)


def _figures(pairs: Pairs) -> Pairs:
    return tuple((float(f"{a:.4g}"), float(f"{b:.4g}")) for a, b in pairs)


def merged(known: Sequence[Row], planned: Sequence[Row]) -> list[Row]:
    """The planned rows with what was measured of the same plans, and the known rows of other models."""
    pairs = {row.key: row.pairs for row in known}
    replaced = {(row.model, row.clock) for row in planned}
    others = [row for row in known if (row.model, row.clock) not in replaced]
    return others + [replace(row, pairs=pairs.get(row.key, ())) for row in planned]


def share_within(rows: Sequence[Row]) -> float:
    """Share of the measured rows whose prediction lies within the band."""
    errors = [abs(row.error) for row in rows if row.error is not None]
    return sum(error <= BAND for error in errors) / max(1, len(errors))


def table(rows: Sequence[Row]) -> Table:
    """The rows in Markdown."""
    shown = Table("model", "form", "chunks", "predicted", "measured", "difference", box=box.MARKDOWN)
    for row in rows:
        found = ["-", "-"] if row.error is None else [f"{row.measured:.3f}", f"{row.error:+.3f}"]
        shown.add_row(row.model, row.form, row.chunks, f"{row.predicted:.3f}", *found)
    return shown


class Clock:
    """The time that is left; a step is started only if it is likely to end within it."""

    def __init__(self, minutes: float | None) -> None:
        self._end = float("inf") if minutes is None else time.monotonic() + 60 * minutes
        self._longest: dict[str, float] = {}

    def allows(self, kind: str) -> bool:
        """False when the longest step of its kind so far would not end in time."""
        return time.monotonic() + self._longest.get(kind, 0.0) < self._end

    def spent(self, kind: str, seconds: float) -> None:
        """Remember how long a step took."""
        self._longest[kind] = max(seconds, self._longest.get(kind, 0.0))


_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command(context_settings={"show_default": True})
@click.option("--only", "names", multiple=True, type=click.Choice(list(PLAIN)), help="Only this model.")
@click.option("--most-minutes", type=float, help="Start no measurement that would end later.")
@click.option("--cpu-time", is_flag=True, help="One thread by its own clock: for a machine that is busy.")
@click.option("--pairs", default=PAIRS, help="Pairs of runs, three in each process.")
@click.option("--threads", default=2, help="Threads to measure with.")
@click.option("--json", "json_file", default=ROOT / "build" / "slowdown.json", type=_FILE)
@click.option("--plot", "plot_file", type=_FILE, help="Draw what is measured, such as docs/cost-model.svg.")
@click.option("--models-dir", default=ROOT / "build" / "models", type=_FOLDER, help="Where models are kept.")
@click.option("--export", "arguments", metavar="NAME=OPTIONS", multiple=True, help="How to export a model.")
@click.option("--table-only", is_flag=True, help="Measure nothing more.")
def main(
    names: tuple[str, ...],
    most_minutes: float | None,
    cpu_time: bool,
    pairs: int,
    threads: int,
    json_file: Path,
    plot_file: Path | None,
    models_dir: Path,
    arguments: tuple[str, ...],
    table_only: bool,
) -> None:
    """Time plans of the example models and compare with what was predicted."""
    sizes, clock = read_arguments(arguments), Clock(0 if table_only else most_minutes)
    models_dir.mkdir(parents=True, exist_ok=True)
    name_of_clock, where = "cpu" if cpu_time else "wall", setting(1 if cpu_time else threads, pairs)
    rows = read_rows(json_file)
    for name in names or tuple(PLAIN):
        subject = Subject(name, export(name, sizes.get(name, ""), models_dir), name_of_clock)
        planned = list(subject.plans())
        rows = merged(rows, [row for row, _, _ in planned])
        write_rows(json_file, rows, where)
        places = {row.key: at for at, row in enumerate(rows)}
        for row, trials, plan in planned:
            at = places[row.key]
            if rows[at].pairs or not clock.allows(name):
                continue
            start = time.monotonic()
            try:
                rows[at] = replace(row, pairs=_figures(subject.time(trials, plan, pairs, threads)))
            except Exception as error:  # noqa: BLE001 - one plan that fails must not cost the window
                click.echo(f"{name} {row.form} {row.place}: FAILED: {error!r:.300}", err=True)
                continue
            clock.spent(name, time.monotonic() - start)
            write_rows(json_file, rows, where)
            click.echo(
                f"{name} {row.form} {row.place}: {row.predicted:.3f} {rows[at].measured:.3f}", err=True
            )
    _show([row for row in rows if row.clock == name_of_clock], plot_file)


def _show(rows: Sequence[Row], plot_file: Path | None) -> None:
    done = [row for row in rows if row.pairs]
    Console(width=WIDTH, highlight=False).print(table(rows))
    share = share_within(done)
    click.echo(
        f"\n{len(done)} of {len(rows)} plans measured; within {100 * BAND:.0f} points: {share:.0%} "
        f"({WANTED:.0%} wanted)"
    )
    if plot_file is not None and done:
        points = [(row.model, row.form, row.predicted, row.measured or 0.0) for row in done]
        draw(points, plot_file, f"{len(done)} plans, {share:.0%} within {100 * BAND:.0f} points")


if __name__ == "__main__":
    main()
