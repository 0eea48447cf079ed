"""What to say where a budget cannot be met: the floor, the values that make it, and what would help."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod

from ..memory.kernels import is_linear
from ..memory.lifetime import Timeline
from ..options import Form
from ..plan.plan import Burden, PlannedRegion
from ..plan.planner import Planner
from .build import LARGE, reason
from .text import mib

MOST_VALUES = 4


def budget_message(
    budget_bytes: int,
    measured_bytes: int | None,
    floor: Timeline | None,
    why: Callable[[str], str],
    helps: Sequence[str],
) -> str:
    """Why a budget cannot be met.

    Args:
        budget_bytes: the budget.
        measured_bytes: what the best plan takes; None when none was measured.
        floor: memory of the smallest plan; None when no plan keeps the other limits.
        why: for a value of the model, why it is not chunked; empty where nothing is known.
        helps: options that could lower the floor.
    """
    lines = [f"the budget of {mib(budget_bytes)} cannot be met."]
    if measured_bytes is not None:
        lines.append(f"The best plan measured takes {mib(measured_bytes)}.")
    if floor is not None:
        lines.append(f"The floor is about {mib(floor.peak_bytes)}; it is made by {_held(floor, why)}.")
    what = ", ".join(["a budget above the floor", *helps])
    lines.append(f"What would help: {what}; --best-effort writes the smallest plan")
    return " ".join(lines)


def elements_message(planner: Planner, names: Sequence[str], regions: Sequence[PlannedRegion]) -> str:
    """Why the limit on elements cannot be kept.

    Args:
        planner: of the model.
        names: values that have more.
        regions: of the plan that leaves them.
    """
    found = [_too_large(planner, name, regions) for name in names[:MOST_VALUES]]
    more = len(names) - len(found)
    listed = ", ".join([*found, *([f"{more} more"] if more else [])])
    return f"more than {planner.options.most_elements} elements in a tensor: {listed}"


def _too_large(planner: Planner, name: str, regions: Sequence[PlannedRegion]) -> str:
    shape = planner.graph.shape(name)
    count = "" if shape is None else f"{prod(shape)} elements"
    why = why_held(planner, regions, name)
    return f"{name} ({': '.join(filter(None, (count, why)))})"


def _held(floor: Timeline, why: Callable[[str], str]) -> str:
    """The largest values at the peak, with their sizes and what keeps them."""
    buffers = sorted(floor.at(floor.peak_step), key=lambda buffer: -buffer.nbytes)[:MOST_VALUES]
    large = [buffer for buffer in buffers if buffer.nbytes >= LARGE * floor.peak_bytes]
    found = dict.fromkeys((_plain(buffer.values[0]), buffer.nbytes) for buffer in large)
    return ", ".join(f"{name} ({': '.join(filter(None, (mib(size), why(name))))})" for name, size in found)


def why_held(planner: Planner, regions: Sequence[PlannedRegion], name: str) -> str:
    """Why a value of the model has to exist whole, as far as it is known."""
    graph, options = planner.graph, planner.options
    op = graph.producer.get(name)
    if op is None:
        return ""
    if name in graph.results:
        return "an output of the model"
    if options.keeps_out(op.name):
        return f"--include or --exclude keeps {op.name} out"
    if is_linear(op, graph, options.provider):
        return f"the kernel of {op.type} is linear in memory as it is"
    return reason(graph, regions, op, name, planner.setting.rules)


def remedies(planner: Planner, loops: Sequence[PlannedRegion]) -> tuple[str, ...]:
    """Options that were given, or left as they are, and that keep the floor up."""
    return tuple(_remedies(planner, loops))


def _remedies(planner: Planner, loops: Sequence[PlannedRegion]) -> Iterator[str]:
    options, floor_bytes = planner.options, planner.floor_bytes
    most = options.max_chunks
    if most is not None and any(2 * loop.chunking.total > most for loop in loops):
        yield f"more than --max-chunks {most}"
    if planner.within(floor_bytes) is None:
        slower = planner.within(floor_bytes, Burden(float("inf"), planner.limit.resident_bytes))
        if slower is not None:
            yield f"--max-load-time {slower.load_seconds:.0f} instead of {options.max_load_s:g}"
    if options.form is not Form.AUTO:
        yield f"any form instead of --form {options.form.value}"
    if options.max_opset is not None:
        yield f"a higher opset than --max-opset {options.max_opset}"
    if any(options.keeps_out(op.name) for op in planner.graph.ops):
        yield "chunking what --include or --exclude keeps out"


def _plain(name: str) -> str:
    """The model's own name for a value that emission renamed, without the parts that say where it is."""
    parts = [
        part for part in name.split("/") if part not in {"frame", "chunk", "framed", "stacked", "turned"}
    ]
    return parts[-1] if parts else name
