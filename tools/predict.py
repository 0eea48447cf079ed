"""Predicted against measured peak memory, on the example models and on random graphs, worst first to see.

`python -m tools.predict` takes each example model as exported and chunked, with every form and in both
element types; `--random 200` takes as many random graphs, each with a chunked version in one of the forms.
Raw is the simulation that plans are searched with, exact the one on ONNX Runtime's own graph:

    gpt2 float32            1776.0   raw +0.0%   exact +0.0%
    gpt2 float32 sweep       108.1   raw +0.2%   exact +0.2%
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
import onnx
from rich import box
from rich.console import Console
from rich.table import Table

from onnx_autochunk.api import autochunk
from onnx_autochunk.errors import AutochunkError, ChildError
from onnx_autochunk.graph.load import load
from onnx_autochunk.memory.lifetime import simulate
from onnx_autochunk.runtime.crash import SUSPECTS
from onnx_autochunk.runtime.exact import exact_timeline
from onnx_autochunk.verify.inputs import random_inputs, read_specs
from onnx_autochunk.verify.measure import measure_peak
from tools.random_graphs import random_graph

ROOT = Path(__file__).parents[1]
MIB = 2**20
MODELS = ("gpt2", "vit", "evoformer", "unet")
FORMS = ("auto", "scan", "sweep", "unroll")
DTYPES = ("float32", "float16")
THREADS = 2
LEAST_MIB = 100.0  # of a random graph: below, the process' own memory shows
MOST_MIB = 800.0
INPUT_MIB = 24.0  # size of a random graph's inputs
RANDOM_BUDGET = "50%"  # what random graphs are chunked to: less is often too little to measure
MODEL_LIMIT = 0.03
MEDIAN_LIMIT, WORST_LIMIT = 0.01, 0.10


@dataclass(frozen=True, slots=True)
class Row:
    """One model: what was predicted and what was measured; `error` says what kept it from being measured."""

    name: str
    raw_bytes: int = 0
    exact_bytes: int = 0
    measured_bytes: int = 0
    exact_s: float = 0.0
    note: str = ""
    error: str = ""

    @property
    def raw(self) -> float:
        """Relative error of the raw prediction."""
        return self.raw_bytes / self.measured_bytes - 1 if self.measured_bytes else 0.0

    @property
    def exact(self) -> float:
        """Relative error of the exact prediction."""
        return self.exact_bytes / self.measured_bytes - 1 if self.measured_bytes else 0.0


def compare(name: str, path: Path, disabled: str = "") -> Row:
    """Predict and measure one file; without one of ONNX Runtime's optimizers if that crashes on it."""
    try:
        raw = simulate(load(path).graph).peak_bytes
        start = time.perf_counter()
        exact = exact_timeline(load(path).model, disabled=disabled)
        elapsed_s = time.perf_counter() - start
        inputs = random_inputs(read_specs(path), seed=0)
        measured = measure_peak(path, inputs, threads=THREADS, default_session=False, disabled=disabled)
    except ChildError as error:
        return Row(name, error=str(error)) if disabled else compare(name, path, ";".join(SUSPECTS))
    except AutochunkError as error:
        return Row(name, error=str(error))
    peak = exact.timeline.peak_bytes
    note = exact.why_raw or (disabled and f"without {disabled}, which crashes")
    return Row(name, raw, peak, measured.activation_peak_bytes, elapsed_s, note)


def model_rows(
    names: Sequence[str], dtypes: Sequence[str], forms: Sequence[str], folder: Path, done: Collection[str]
) -> Iterator[Row]:
    """Each model as exported, and chunked in each form that applies; not again what is done."""
    for name in names:
        for dtype in dtypes:
            path = _exported(name, dtype, folder)
            if (title := f"{name} {dtype}") not in done:
                yield compare(title, path)
            for form in forms:
                if (chunked := f"{title} {form}") not in done:
                    yield _chunked(chunked, path, form=form)


def _exported(name: str, dtype: str, folder: Path) -> Path:
    path = folder / (f"{name}.onnx" if dtype == "float32" else f"{name}-{dtype}.onnx")
    if not path.exists():
        command = [sys.executable, "-m", "models", name, str(path.absolute()), "--dtype", dtype]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return path


def _chunked(name: str, path: Path, **options: Any) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "chunked.onnx"
        try:
            result = autochunk(path, no_verify=True, **options)
            result.save(out)
        except AutochunkError as error:
            return Row(name, error=str(error))
        if not result.report.regions:
            return Row(name, error=result.report.message)
        return compare(name, out)


def random_rows(
    count: int, seed: int, least_mib: float, input_mib: float, done: Collection[str]
) -> Iterator[Row]:
    """As many random graphs that hold enough, as they are and chunked; not again what is done."""
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.onnx"
        for index in itertools.count(seed):
            if found == count:
                return
            name, form = f"random {index}", FORMS[index % len(FORMS)]
            if name not in done:
                onnx.save(random_graph(index, mib=input_mib), path)
                if not least_mib * MIB < simulate(load(path).graph).peak_bytes < MOST_MIB * MIB:
                    continue
                row = compare(name, path)
                if not row.error and row.measured_bytes < least_mib * MIB:
                    continue
                yield row
            found += 1
            if (chunked := f"{name} {form}") not in done:
                onnx.save(random_graph(index, mib=input_mib), path)
                yield _chunked(chunked, path, form=form, budget=RANDOM_BUDGET, best_effort=True)


@dataclass(frozen=True, slots=True)
class Summary:
    """How far the exact prediction is off over many rows, and the raw one."""

    rows: int
    failed: int
    median: float
    worst: float
    worst_name: str
    raw_median: float
    raw_worst: float

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Summary:
        """Figures over what was measured."""
        measured = [row for row in rows if not row.error]
        exact = [abs(row.exact) for row in measured] or [0.0]
        raw = [abs(row.raw) for row in measured] or [0.0]
        worst = max(measured, key=lambda row: abs(row.exact), default=Row("-"))
        failed = len(rows) - len(measured)
        return cls(len(rows), failed, median(exact), max(exact), worst.name, median(raw), max(raw))

    def __str__(self) -> str:
        """One line."""
        return (
            f"{self.rows} rows, {self.failed} without a measurement; exact: median {self.median:.2%}, worst "
            f"{self.worst:.2%} ({self.worst_name}); raw: median {self.raw_median:.2%}, "
            f"worst {self.raw_worst:.2%}"
        )


def table(rows: Sequence[Row]) -> Table:
    """The rows in Markdown."""
    shown = Table("model", "measured MiB", "raw", "exact", "exact s", "note", box=box.MARKDOWN)
    for row in rows:
        cells = ["-"] * 4
        if not row.error:
            measured = f"{row.measured_bytes / MIB:,.1f}"
            cells = [measured, f"{row.raw:+.2%}", f"{row.exact:+.2%}", f"{row.exact_s:.1f}"]
        shown.add_row(row.name, *cells, (row.error or row.note)[:100])
    return shown


def _saved_rows(file: Path | None) -> list[Row]:
    if file is None or not file.exists():
        return []
    return [Row(**row) for row in json.loads(file.read_text(encoding="utf-8"))["rows"]]


def _save_rows(rows: Sequence[Row], file: Path | None) -> None:
    if file is not None:
        report = {"summary": asdict(Summary.of(rows)), "rows": [asdict(row) for row in rows]}
        file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command(context_settings={"show_default": True})
@click.argument("names", nargs=-1, type=click.Choice(MODELS))
@click.option("--form", "forms", multiple=True, type=click.Choice(FORMS), default=FORMS, help="Repeatable.")
@click.option(
    "--dtype", "dtypes", multiple=True, type=click.Choice(DTYPES), default=DTYPES, help="Repeatable."
)
@click.option("--random", "count", default=0, help="So many random graphs instead of the models.")
@click.option("--seed", default=0, help="Of the first random graph.")
@click.option("--least-mib", default=LEAST_MIB, help="Least peak of a random graph.")
@click.option("--input-mib", default=INPUT_MIB, help="Size of a random graph's inputs.")
@click.option("--models-dir", default=ROOT / "build" / "models", type=_FOLDER, help="Where models are kept.")
@click.option("--json", "json_file", type=_FILE, help="Write everything to this file; rows in it are kept.")
@click.option("--seconds", type=float, help="Stop after so long; with --json, the next call goes on.")
def main(
    names: tuple[str, ...],
    forms: tuple[str, ...],
    dtypes: tuple[str, ...],
    count: int,
    seed: int,
    least_mib: float,
    input_mib: float,
    models_dir: Path,
    json_file: Path | None,
    seconds: float | None,
) -> None:
    """Compare predicted with measured peaks, on NAMES (all models by default) or on random graphs.

    Exit code 1 says that the exact prediction is further off than it may be.
    """
    models_dir.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    rows = _saved_rows(json_file)
    done = {row.name for row in rows}
    found = (
        random_rows(count, seed, least_mib, input_mib, done)
        if count
        else model_rows(names or MODELS, dtypes, forms, models_dir, done)
    )
    for row in found:
        click.echo(f"{row.name}: {row.error or f'raw {row.raw:+.2%} exact {row.exact:+.2%}'}", err=True)
        rows.append(row)
        _save_rows(rows, json_file)
        if seconds is not None and time.monotonic() - start > seconds:
            click.echo("stopped; there are more", err=True)
            break
    summary = Summary.of(rows)
    Console(width=200, highlight=False).print(table(rows))
    click.echo(f"\n{summary}")
    within = summary.worst <= (WORST_LIMIT if count else MODEL_LIMIT)
    sys.exit(not within or (bool(count) and summary.median > MEDIAN_LIMIT))


if __name__ == "__main__":
    main()
