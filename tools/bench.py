"""Runs the plain command line on the example models and holds what comes of it against the project's limits.

`python -m tools.bench` exports each model once, chunks it without a hint, and measures original and result
anew, since the command's own measurements have picked the plan. The table goes into the README:

    gpt2 (1776 MiB)  ->  | gpt2 | 1776.1 | ... | 3.5% (4.0%) | 1.014 (1.050) | ... | kept |

`--more` runs what has to hold beside the four models (`tools.cases`). `--budgets` asks for budgets instead:
each is met as measured, or refused with exit code 3. Exit code 1 says that a limit is broken. Nothing else
may run on the machine meanwhile.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import onnx_ir as ir
from rich import box
from rich.console import Console
from rich.table import Table

from onnx_autochunk.runtime.library import onnxruntime
from onnx_autochunk.verify.arrays import Array
from onnx_autochunk.verify.inputs import random_inputs, read_specs
from onnx_autochunk.verify.measure import (
    FEWEST_PAIRS,
    MAPPED_BYTES,
    PeakMeasurement,
    TimeMeasurement,
    measure_peak,
    measure_time,
)
from tools.cases import CASES, MORE, PLAIN, Case

ROOT = Path(__file__).parents[1]
MIB = 2**20
RESIDENT = 1.1  # of the original's, or ...
RESIDENT_MORE_BYTES = 64 * MIB  # ... this much more, whichever is higher
PREDICTED = 0.03  # of the measured peak, or ...
# ... what measuring resolves, whichever is higher: the system's high-water mark is off by up to 32 pages for
# each of 2 CPUs, and a run may leave `MAPPED_BYTES` behind. Source: Linux, lib/percpu_counter.c
RESOLUTION_BYTES = 2 * 32 * 4096 + MAPPED_BYTES
LOAD_MORE_S = 5.0
SEARCH_S = 60.0
# Share of the original's peak, and the ratio of time: in AutoChunk's paper 1.03 at half, 1.10 at a fifth.
BUDGETS: Mapping[str, float] = {"50%": 1.03, "40%": 1.10, "30%": 1.10, "20%": 1.10, "10%": 1.10}
TOO_SMALL = "1MiB"
OVER_BUDGET = 1.01  # two measurements of one model's peak differ by so much
WIDTH = 250  # a row of the table is one line, whatever the terminal
UNREACHABLE = 3  # the command's exit code for a budget that no plan meets


@dataclass(frozen=True, slots=True)
class Check:
    """One figure, what it may be, and whether it is; `cell` is how the table shows it."""

    name: str
    value: float | bool
    limit: float | bool
    kept: bool
    cell: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was found about one model or budget, and all that the command reported."""

    name: str
    facts: Mapping[str, str]
    checks: tuple[Check, ...]
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """`kept`, or the names of the limits that are broken."""
        broken = [check.name for check in self.checks if not check.kept]
        return f"BROKEN: {', '.join(broken)}" if broken else "kept"


def at_most(name: str, value: float, limit: float, style: str = "{:,.1f}") -> Check:
    """A figure with an upper limit; `style` writes both."""
    return Check(name, value, limit, value <= limit, f"{style.format(value)} ({style.format(limit)})")


def exactly(name: str, value: float | bool, wanted: float | bool) -> Check:
    """A figure that has to be this one."""
    return Check(name, value, wanted, value == wanted, f"{value} ({wanted})")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call of the command line gave back; no report when it failed."""

    exit_code: int
    errors: str
    wall_s: float
    report: Mapping[str, Any] = field(default_factory=dict)


def autochunk(source: Path, out: Path, *options: str) -> Answer:
    """Run the command line as a user does."""
    out.unlink(missing_ok=True)
    files = [str(path.absolute()) for path in (source, out)]
    command = [sys.executable, "-m", "onnx_autochunk", *files, "--json", *options]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    wall_s = time.perf_counter() - start
    return Answer(done.returncode, done.stderr, wall_s, json.loads(done.stdout) if done.stdout else {})


def export(name: str, arguments: str, folder: Path) -> Path:
    """The example model's file, written unless it is there."""
    stem = "-".join([name, *re.findall(r"\w+", arguments)])
    path = folder / f"{stem}.onnx"
    if not path.exists():
        command = [sys.executable, "-m", "models", name, str(path.absolute()), *shlex.split(arguments)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return path


@dataclass(frozen=True)
class Subject:
    """A model to measure with, always on the same inputs."""

    name: str
    case: Case
    path: Path
    threads: int
    pairs: int

    @cached_property
    def inputs(self) -> Mapping[str, Array]:
        """What every run is given."""
        return random_inputs(read_specs(self.path), seed=0)

    def beside(self, ending: str) -> Path:
        """A file for a result."""
        return self.path.with_name(f"{self.path.stem}-{ending}.onnx")

    def peak(self, path: Path) -> PeakMeasurement:
        """Memory of the model or of a result."""
        return measure_peak(path, self.inputs, threads=self.threads, default_session=False)

    def time(self, baseline: Path, path: Path, limit: float) -> TimeMeasurement:
        """Time of one file against another, over so many pairs that they tell whether it keeps the limit."""
        threads, pairs = self.threads, self.pairs
        return measure_time(baseline, path, self.inputs, limit=limit, threads=threads, pairs=pairs)


def bench_model(subject: Subject) -> Iterator[Row]:
    """Chunk a model by the command line of its case and measure what came out."""
    out, case = subject.beside("chunked"), subject.case
    answer = autochunk(subject.path, out, *case.options)
    click.echo(answer.errors if answer.exit_code else answer.report["message"], err=True)
    if answer.exit_code:
        yield Row(subject.name, {}, (exactly("exit code", answer.exit_code, 0),))
        return
    search = autochunk(subject.path, subject.beside("unverified"), "--no-verify", *case.options)
    before, after = subject.peak(subject.path), subject.peak(out)
    elapsed = subject.time(subject.path, out, case.ratio)
    checks = _checks(case, before, after, elapsed, search, _predicted_bytes(answer))
    if case.alone:
        found, there = (count_alone(path, case.alone) for path in (out, subject.path))
        checks = (*checks, exactly(f"{case.alone} left alone", found, there))
    yield Row(subject.name, _facts(before, elapsed, answer), checks, answer.report)


def count_alone(path: Path, kind: str) -> int:
    """How many ops of a type no loop of ours runs; those that one runs bear its name."""
    nodes = ir.load(path).graph.all_nodes()
    return sum(node.op_type == kind and not (node.name or "").startswith("chunk/") for node in nodes)


def _predicted_bytes(answer: Answer) -> int:
    """Of the result, which is the original where nothing was chunked."""
    costs = [answer.report[key]["predicted_peak_bytes"] for key in ("chunked", "baseline")]
    return int(costs[0] or costs[1])


def _facts(before: PeakMeasurement, elapsed: TimeMeasurement, answer: Answer) -> dict[str, str]:
    verify = answer.report["verify"] or {"max_abs": None, "max_rel": None}
    return {
        "original MiB": f"{before.activation_peak_bytes / MIB:,.1f}",
        "resident MiB, before": f"{before.resident_bytes / MIB:,.1f}",
        "run s": f"{elapsed.baseline_s:.2f} -> {elapsed.chunked_s:.2f}",
        "pairs": str(len(elapsed.pairs)),
        "max abs / rel difference": " / ".join(_scientific(verify[key]) for key in ("max_abs", "max_rel")),
        "regions": str(len(answer.report["regions"])),
        "all s": f"{answer.wall_s:.0f}",
    }


def _checks(
    case: Case,
    before: PeakMeasurement,
    after: PeakMeasurement,
    elapsed: TimeMeasurement,
    search: Answer,
    predicted_bytes: int,
) -> tuple[Check, ...]:
    peak_bytes = after.activation_peak_bytes
    off, most_off = abs(predicted_bytes - peak_bytes), max(PREDICTED * peak_bytes, RESOLUTION_BYTES)
    resident = max(RESIDENT * before.resident_bytes, before.resident_bytes + RESIDENT_MORE_BYTES)
    return (
        at_most("peak", peak_bytes / before.activation_peak_bytes, case.share, "{:.1%}"),
        at_most("prediction off, MiB", off / MIB, most_off / MIB, "{:.2f}"),
        at_most("time ratio", elapsed.ratio, case.ratio, "{:.3f}"),
        at_most("resident MiB, after", after.resident_bytes / MIB, resident / MIB),
        at_most("load s, more", after.load_s - before.load_s, LOAD_MORE_S, "{:.2f}"),
        at_most("search s", search.wall_s, SEARCH_S),
    )


def _scientific(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def bench_budgets(subject: Subject) -> Iterator[Row]:
    """Meet each budget as measured or refuse it, and refuse one that is too small for anything."""
    original_bytes = subject.peak(subject.path).activation_peak_bytes
    for budget in BUDGETS:
        yield _budget_row(subject, budget, original_bytes)
    yield _refused(f"{subject.name} {TOO_SMALL}", *_asked(subject, TOO_SMALL))


def _asked(subject: Subject, budget: str) -> tuple[Answer, Path]:
    out = subject.beside("budget")
    return autochunk(subject.path, out, "--budget", budget), out


def _budget_row(subject: Subject, budget: str, original_bytes: int) -> Row:
    """The peak is measured anew; the time is what the command measured, which had no say in the plan."""
    (answer, out), name = _asked(subject, budget), f"{subject.name} {budget}"
    if answer.exit_code == UNREACHABLE:
        return _refused(name, answer, out)
    if answer.exit_code:
        click.echo(answer.errors, err=True)
        return Row(name, {}, (exactly("exit code", answer.exit_code, 0),))
    share = subject.peak(out).activation_peak_bytes / original_bytes
    limit = float(budget.rstrip("%")) / 100 * OVER_BUDGET
    checks = (
        at_most("peak", share, limit, "{:.1%}"),
        at_most("time ratio", answer.report["slowdown_measured"], BUDGETS[budget], "{:.3f}"),
    )
    facts = {"regions": str(len(answer.report["regions"])), "all s": f"{answer.wall_s:.0f}"}
    return Row(name, facts, checks, answer.report)


def _refused(name: str, answer: Answer, out: Path) -> Row:
    floor = re.search(r"floor is about ([\d.,]+ MiB)", answer.errors)
    checks = (
        exactly("exit code", answer.exit_code, UNREACHABLE),
        exactly("file written", out.exists(), wanted=False),
        exactly("floor named", floor is not None, wanted=True),
    )
    return Row(name, {"floor": floor[1] if floor else "-"}, checks)


def table(rows: Sequence[Row]) -> Table:
    """The rows in Markdown; a limit stands in brackets behind its figure."""
    cells = [{**row.facts, **{check.name: check.cell for check in row.checks}} for row in rows]
    names = list(dict.fromkeys(name for row in cells for name in row))
    shown = Table("model", *names, "limits", box=box.MARKDOWN)
    for row, found in zip(rows, cells, strict=True):
        shown.add_row(row.name, *(found.get(name, "-") for name in names), row.verdict)
    return shown


def setting(threads: int, pairs: int) -> dict[str, str | int | None]:
    """What the figures depend on, besides the models."""
    packages = {name: version(name) for name in ("onnx", "onnx-ir", "torch", "transformers", "diffusers")}
    return {
        "python": platform.python_version(),
        **packages,
        "onnxruntime": onnxruntime().__version__,
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "threads": threads,
        "fewest pairs of runs": pairs,
    }


def read_arguments(texts: Sequence[str]) -> dict[str, str]:
    """`gpt2=--layers 1 --tokens 64` -> {"gpt2": "--layers 1 --tokens 64"}.

    Raises:
        BadParameter: it does not begin with the name of a model.
    """
    found = dict(text.split("=", 1) for text in texts if "=" in text)
    if len(found) < len(texts) or not found.keys() <= CASES.keys():
        raise click.BadParameter(f"write NAME='--option value ...' with NAME one of {', '.join(CASES)}")
    return found


_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command(context_settings={"show_default": True})
@click.argument("names", nargs=-1, type=click.Choice(list(CASES)))
@click.option("--more", is_flag=True, help="Run what has to hold beside the four models instead.")
@click.option("--budgets", is_flag=True, help="Ask for budgets instead.")
@click.option("--json", "json_file", type=_FILE, help="Write everything to this file.")
@click.option("--models-dir", default=ROOT / "build" / "models", type=_FOLDER, help="Where models are kept.")
@click.option(
    "--export", "arguments", metavar="NAME=OPTIONS", multiple=True, help="How to export a model. Repeatable."
)
@click.option(
    "--pairs", default=FEWEST_PAIRS, help="Fewest pairs of runs that a time ratio is the median of."
)
@click.option("--threads", default=2, help="Threads to measure with.")
def main(
    names: tuple[str, ...],
    more: bool,
    budgets: bool,
    json_file: Path | None,
    models_dir: Path,
    arguments: tuple[str, ...],
    pairs: int,
    threads: int,
) -> None:
    """Hold the four example models, or NAMES, against the project's limits."""
    sizes = read_arguments(arguments)
    models_dir.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in names or tuple(MORE if more else PLAIN):
        case = CASES[name]
        path = export(case.model, sizes.get(name, case.export), models_dir)
        subject = Subject(name, case, path, threads, pairs)
        for row in (bench_budgets if budgets else bench_model)(subject):
            click.echo(f"{row.name}: {row.verdict}", err=True)
            rows.append(row)
    where = setting(threads, pairs)
    Console(width=WIDTH, highlight=False).print(table(rows))
    click.echo("\n" + ", ".join(f"{key} {value}" for key, value in where.items()))
    if json_file is not None:
        report = {"setting": where, "rows": [asdict(row) | {"kept": row.verdict == "kept"} for row in rows]}
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    sys.exit(any(row.verdict != "kept" for row in rows))


if __name__ == "__main__":
    main()
