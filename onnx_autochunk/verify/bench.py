"""Try rewritten models against one original: same outputs, and what memory and time they take."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import onnx_ir as ir

from ..errors import VerificationError
from ..graph.derive import derive
from ..graph.dynamic import Dynamic
from ..graph.numbers import released
from ..graph.save import save
from ..memory.lifetime import simulate
from ..options import Options
from ..runtime.crash import explained
from ..runtime.exact import exact_timeline
from .arrays import Array
from .compare import Comparison
from .equality import compare_models
from .inputs import InputSpec, load_inputs, random_inputs, read_specs
from .measure import PeakMeasurement, TimeMeasurement, measure_peak, measure_time

MEASURED_SEED = 0
NO_VERIFY = "--no-verify rewrites it without running it"
ANOTHER_FORM = "Another --form may give a model that loads"


@dataclass(frozen=True)
class Bench:
    """The original, its inputs, and a place for files.

    Attributes:
        original: the ONNX file that everything is compared with.
        folder: where rewritten models are put; emptied by `open_bench`.
        dynamic: the sizes that models are to take; None for those of the original.
    """

    original: Path
    folder: Path
    options: Options
    dynamic: Dynamic | None = None

    @cached_property
    def inputs(self) -> tuple[Mapping[str, Array], ...]:
        """The inputs of each verification run; the first ones are also measured with."""
        specs = self._specs(0)
        if self.options.input_data is not None:
            return (load_inputs(self.options.input_data, specs),)
        return tuple(
            random_inputs(specs, seed=MEASURED_SEED + run) for run in range(self.options.verify_runs)
        )

    @cached_property
    def verified(self) -> tuple[Mapping[str, Array], ...]:
        """What outputs are compared on: those inputs, and one of each other size that was looked at."""
        dynamic = self.dynamic
        if dynamic is None or self.options.input_data is not None:
            return self.inputs
        others = range(1, len(dynamic.graphs))
        return (*self.inputs, *(random_inputs(self._specs(at), seed=MEASURED_SEED) for at in others))

    def _specs(self, choice: int) -> tuple[InputSpec, ...]:
        """The inputs at one choice of sizes."""
        dynamic = self.dynamic
        if dynamic is None:
            return read_specs(self.original)
        graph = dynamic.graphs[choice]
        shapes = {name: graph.shape(name) or () for name in graph.inputs}
        return read_specs(self.original, dims=dynamic.atoms_at(choice), shapes=shapes)

    @cached_property
    def baseline(self) -> PeakMeasurement:
        """Memory of the original."""
        with explained(self.original, advice=NO_VERIFY):
            return self.measure(self.original)

    def predict(self, model: ir.Model) -> int:
        """The peak of a model on ONNX Runtime's own graph of it, without running it.

        That graph is of bound sizes: where they are open the graph as it is has to do.
        """
        if (dynamic := self.dynamic) is not None:
            graph = derive(model, dynamic=dynamic).graph
            return simulate(graph, provider=self.options.provider).peak_bytes
        return exact_timeline(model, provider=self.options.provider).timeline.peak_bytes

    def write(self, model: ir.Model) -> Path:
        """Put a rewritten model into the folder, over the one before it."""
        path = self.folder / "chunked.onnx"
        made = released(model, self.dynamic)
        save(made, path, external=self.options.save_as_external_data)
        return path

    def verify(self, path: Path) -> Comparison:
        """Compare the outputs of original and result.

        Raises:
            VerificationError: they differ by more than the tolerance.
        """
        options = self.options
        with explained(path, options.provider, ANOTHER_FORM):
            found = compare_models(
                self.original,
                path,
                self.verified,
                rtol=options.rtol,
                atol=options.atol,
                provider=options.provider,
                threads=options.threads,
            )
        if not found.passed:
            raise VerificationError(
                f"the rewritten model computes something else, so nothing was written: {found.reason}. This "
                "is a bug: please report it; --exclude with the name of a node named above may avoid it"
            )
        return found

    def measure(self, path: Path) -> PeakMeasurement:
        """Memory of a model."""
        options = self.options
        return measure_peak(path, self.inputs[0], provider=options.provider, threads=options.threads)

    def time(self, path: Path) -> TimeMeasurement:
        """Time of a rewritten model against the original, settled where a time ratio decides."""
        options = self.options
        return measure_time(
            self.original,
            path,
            self.inputs[0],
            limit=options.slowdown_limit,
            provider=options.provider,
            threads=options.threads,
        )


@contextmanager
def open_bench(
    original: Path | None, model: ir.Model, options: Options, dynamic: Dynamic | None = None
) -> Iterator[Bench]:
    """A bench for a model; one that is no file yet, or whose sizes were fixed, is written first."""
    with tempfile.TemporaryDirectory(prefix="onnx_autochunk-") as name:
        folder = Path(name)
        if original is None:
            original = folder / "original.onnx"
            save(released(model, dynamic), original)
        yield Bench(original, folder, options, dynamic)
