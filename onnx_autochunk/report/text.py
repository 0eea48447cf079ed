"""The report for a reader: before and after, one row a region, and what was not chunked.

`Report(...)` -> a rich renderable; on a terminal in its width, elsewhere plain text without colour codes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from .record import Cost, FrontPoint, MeasuredPlan, Refusal, Region, Report, Status, Verification

_SHORT = ("form", "axis")  # columns of a few characters, which never break
PLAIN_WIDTH = 160  # of files and pipes, where a row on one line is worth more than a narrow page


def to_text(report: Report, width: int = PLAIN_WIDTH, *, details: bool = False) -> str:
    """The report as plain text: no colours, no spaces at the ends of lines."""
    page = io.StringIO()
    Console(file=page, width=width, color_system=None, force_terminal=False).print(render(report, details))
    return "".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines())


def render(report: Report, details: bool = False) -> RenderableType:
    """Tables and closing sentences, for any rich console; with details also what less memory would cost."""
    return Group(*_parts(report, details))


def mib(size: float) -> str:
    """Bytes in MiB, with one decimal."""
    return f"{size / 2**20:,.1f} MiB"


def _parts(report: Report, details: bool) -> Iterator[RenderableType]:
    if report.regions:
        yield from (_regions(report.regions), "")
    if report.refusals:
        yield from (_refusals(report.refusals), "")
    if len(report.measured) > 1:
        yield from (_measured(report.measured), "")
    if report.front and details:
        yield from (_front(report.front), "")
    yield from (_before_after(report), "")
    yield Text("\n".join(_sentences(report)))


def _table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table; the columns named in `right` hold numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False)
    table.pad_edge, table.padding = False, (0, 1, 0, 0)
    for name in columns:
        short = name in right or name in _SHORT
        table.add_column(name, justify="right" if name in right else "left", no_wrap=short, overflow="fold")
    return table


# Regions and refusals


def _regions(regions: tuple[Region, ...]) -> Table:
    numbers = ("chunks", "nodes", "hoisted", "MiB before", "MiB after")
    table = _table("Chunked regions", "region", "form", "axis", *numbers, right=numbers)
    for region in regions:
        counts = f"{region.count} x {region.length}", str(region.nodes), str(len(region.hoisted))
        peaks = (f"{size / 2**20:,.1f}" for size in (region.peak_before_bytes, region.peak_after_bytes))
        table.add_row(*map(Text, (region.name, region.form, region.axis, *counts, *peaks)))
    return table


def _refusals(refusals: tuple[Refusal, ...]) -> Table:
    table = _table("Large tensors not chunked", "value", "size", "node", "because", right=("size",))
    for refusal in sorted(refusals, key=lambda refusal: -refusal.bytes):
        table.add_row(*map(Text, (refusal.value, mib(refusal.bytes), refusal.node, refusal.reason)))
    return table


def _front(points: tuple[FrontPoint, ...]) -> Table:
    names = ("budget", "peak", "time", "regions")
    table = _table("What less memory costs, predicted", *names, right=names)
    for point in points:
        sizes = mib(point.budget_bytes), mib(point.predicted_peak_bytes)
        table.add_row(*sizes, f"{point.predicted_slowdown:.1%}", str(point.regions))
    return table


def _measured(plans: tuple[MeasuredPlan, ...]) -> Table:
    numbers = ("regions", "peak, predicted", "peak, measured", "time, predicted", "time, measured")
    table = _table("Plans measured", *numbers, "", right=numbers)
    for plan in plans:
        peaks = mib(plan.predicted_peak_bytes), mib(plan.measured_peak_bytes)
        ratio = "-" if plan.slowdown_measured is None else f"{plan.slowdown_measured:.1%}"
        taken = "taken" if plan.taken else ""
        table.add_row(str(plan.regions), *peaks, f"{plan.predicted_slowdown:.1%}", ratio, taken)
    return table


# Before and after


def _percent(before: float, after: float) -> str:
    return f"{after / before:.1%}" if before else ""


def _seconds_more(before: float, after: float) -> str:
    return f"{after - before:+.2f} s"


def _seconds(value: float) -> str:
    return f"{value:.3f} s"


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the before/after table: which number, how it is written, how two are compared."""

    label: str
    read: Callable[[Cost], float | None]
    write: Callable[[float], str]
    compare: Callable[[float, float], str]


_ROWS = (
    _Row("activation peak, measured", lambda cost: cost.measured_peak_bytes, mib, _percent),
    _Row("activation peak, predicted", lambda cost: cost.predicted_peak_bytes, mib, _percent),
    _Row("resident after loading", lambda cost: cost.resident_bytes, mib, _percent),
    _Row("second run, default session", lambda cost: cost.default_session_rise_bytes, mib, _percent),
    _Row("time to load", lambda cost: cost.load_s, _seconds, _seconds_more),
)


def _before_after(report: Report) -> Table:
    names = ("before", "after", "change")
    table = _table("Before and after", "", *names, right=names)
    for row in _ROWS:
        before, after = row.read(report.baseline), row.read(report.chunked)
        if before is not None or after is not None:
            table.add_row(row.label, *_cells(row, before, after))
    if report.baseline.latency_s is not None:
        # the ratio is the median over interleaved pairs of runs, which the two medians beside it are not
        change = "" if report.slowdown_measured is None else f"{report.slowdown_measured:.1%}"
        times = (report.baseline.latency_s, report.chunked.latency_s)
        table.add_row("time of one run", *(_cell(_seconds, time_s) for time_s in times), change)
    return table


def _cells(row: _Row, before: float | None, after: float | None) -> tuple[str, str, str]:
    change = "" if before is None or after is None else row.compare(before, after)
    return _cell(row.write, before), _cell(row.write, after), change


def _cell(write: Callable[[float], str], value: float | None) -> str:
    return "-" if value is None else write(value)


# Sentences


_VERDICTS = {
    Status.CHUNKED: "Chunked.",
    Status.UNCHANGED: "Nothing was changed; the output is a copy of the input.",
    Status.PLANNED: "Planned only; no model was written.",
    Status.MISSED: "A limit was missed; this is the best plan.",
}


def _sentences(report: Report) -> Iterator[str]:
    yield " ".join(filter(None, (_VERDICTS[report.status], report.message)))
    if report.dims:
        yield _sizes(report)
    if report.verify is not None:
        yield _verified(report.verify)
    elif report.status in {Status.CHUNKED, Status.MISSED}:
        yield "Outputs were not compared."
    if report.budget_bytes is not None:
        yield _budget(report)
    if report.floor_bytes is not None:
        yield f"Floor, under which no number of chunks can go: {mib(report.floor_bytes)}."
    if report.timings_s:
        stages = ", ".join(f"{stage} {elapsed_s:.1f} s" for stage, elapsed_s in report.timings_s.items())
        yield f"Time spent: {stages}."


def _sizes(report: Report) -> str:
    sizes = ", ".join(f"{name}={size}" for name, size in report.dims.items())
    chosen = f" ({', '.join(report.chosen)} chosen here: --dim gives others)" if report.chosen else ""
    others = "other sizes are taken too" if report.is_open else "no other sizes are taken"
    return f"Planned for {sizes}{chosen}; {others}."


def _verified(verify: Verification) -> str:
    verdict = "Outputs are equal" if verify.passed else "Outputs DIFFER"
    inputs = "1 input" if verify.runs == 1 else f"{verify.runs} inputs"
    inputs += f" of {len(verify.dims)} sizes" if len(verify.dims) > 1 else ""
    return f"{verdict} on {inputs}: largest difference {verify.max_abs:.1e}, relative {verify.max_rel:.1e}."


def _budget(report: Report) -> str:
    verdict = {True: "met", False: "missed", None: "not measured"}[report.budget_met]
    return f"Budget {mib(report.budget_bytes or 0)}: {verdict}."
