"""The exact prediction: the simulation on the graph that ONNX Runtime itself made of a model.

The raw graph predicts what the search needs, in milliseconds; ORT's own graph also has the fusions and the
layouts that the raw level does not repeat, and takes as long as ORT needs to optimize it.
`exact_timeline(load("m.onnx").model).timeline.peak_bytes` -> bytes.
"""

from __future__ import annotations

import enum
import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from ..errors import AutochunkError, ModelError, UsageError
from ..graph.derive import derive, whole_graph
from ..graph.load import load
from ..graph.model import Graph
from ..graph.numbers import released
from ..memory.lifetime import Timeline, simulate
from .optimized import optimized_model
from .shapes import complete_shapes
from .weightless import save_without_weights


class Level(enum.Enum):
    """What a prediction was made on."""

    EXACT = "exact"  # ORT's own graph, in the order in which it stands in the file
    RAW = "raw"  # the graph as exported


@dataclass(frozen=True, slots=True)
class Prediction:
    """Activation memory over one run, as predicted.

    Attributes:
        why_raw: what kept ORT's own graph from being used; empty when it was.
    """

    timeline: Timeline
    level: Level
    why_raw: str = ""


def exact_timeline(
    model: ir.Model, *, provider: str = "cpu", disabled: str = "", timeout_s: float | None = None
) -> Prediction:
    """Predict a model's memory on ORT's own graph of it, or on the raw one where ORT's cannot be had.

    Args:
        model: with the shapes of its values, as `load` and emission leave it; it is not modified, and its
            weights are not read.
        provider: whose kernels.
        disabled: optimizers that ORT is to leave out; see `session.disable`.
        timeout_s: for ORT to write its graph.

    Raises:
        UsageError: ONNX Runtime or the provider is missing.
    """
    try:
        graph = optimized_graph(model, provider, disabled=disabled, timeout_s=timeout_s)
    except UsageError:
        raise
    except AutochunkError as error:
        return Prediction(simulate(derive(model).graph, provider=provider), Level.RAW, str(error))
    return Prediction(simulate_optimized(graph, provider), Level.EXACT)


def simulate_optimized(graph: Graph, provider: str = "cpu") -> Timeline:
    """Run a graph that ORT wrote on paper: as it stands."""
    return simulate(graph, order=range(len(graph.ops)), provider=provider, fuse=False)


def optimized_graph(
    model: ir.Model, provider: str = "cpu", *, disabled: str = "", timeout_s: float | None = None
) -> Graph:
    """What ORT makes of a model, its ops in the order in which ORT runs them.

    Raises:
        ModelError: ONNX Runtime does not accept the model, or what it wrote cannot be read.
        UsageError: ONNX Runtime or the provider is missing.
        ChildError: the child process failed.
    """
    with tempfile.TemporaryDirectory(prefix="onnx_autochunk-") as folder:
        source, out = Path(folder) / "source.onnx", Path(folder) / "optimized.onnx"
        try:
            save_without_weights(released(model, None), source)
        except (OSError, ValueError) as error:
            raise ModelError(f"the model cannot be written for ONNX Runtime to optimize: {error}") from error
        optimized_model(source, out, provider, weights=False, disabled=disabled, timeout_s=timeout_s)
        return read_optimized(out)


def read_optimized(path: Path) -> Graph:
    """A graph that ORT wrote, with the shapes that the file leaves out.

    Ops of constants are kept: what ORT did not fold it runs, such as ops without a kernel for float16.

    Raises:
        ModelError: it is not a valid graph.
    """
    model = load(_with_names_of_their_own(ir.load(path))).model
    complete_shapes(model)
    return whole_graph(model)


def _with_names_of_their_own(model: ir.Model) -> ir.Model:
    """Give bodies other names than the graph around them and each other, in place.

    ORT's fusions name their results alike in every graph; ONNX allows that where no body sees the other's,
    but shapes are looked up by name alone.
    """
    for index, body in enumerate(model.graph.subgraphs()):
        own = [*body.inputs, *body.initializers.values(), *(value for node in body for value in node.outputs)]
        for value in own:
            if value.name:
                value.name = f"{value.name}@{index}"
    return model
