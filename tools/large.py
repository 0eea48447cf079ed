"""Rewrites a model with 4 GB of weights beside it, and says what that takes: memory, seconds, bytes written.

`python -m tools.large` writes a GPT-2 with random weights, block by block, and chunks it in a process of its
own, as the command line does with `--no-verify`; `--verified` does so with verification as well:

    4.0 GB of weights  ->  | --no-verify | True (True) | 200 (1,000) MB | 9.9 (60.0) s | 1.000 (1.010) |

The files take three times the weights, and are deleted. Exit code 1 says that a limit is broken.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import click
import numpy as np
import onnx
from rich.console import Console

from onnx_autochunk.api import autochunk
from onnx_autochunk.runtime.launch import Json, call
from onnx_autochunk.verify.measure import status_bytes
from tools.bench import WIDTH, Row, at_most, exactly, table
from tools.scale_models import wide_layers

MB = 10**6
MEMORY_MB = 1000
SECONDS = 60.0
COPIES = 1.01  # bytes written, of those that are there
CHANNELS, HEADS = 2048, 16
LAYER_BYTES = 4 * 12 * CHANNELS**2
BLOCK = 1 << 22  # elements that are drawn at once
SPREAD = 0.02  # of random weights


@dataclass
class Weights:
    """A file of weights that grows by one with every call."""

    file: BinaryIO
    location: str
    dice: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def __call__(self, name: str, shape: tuple[int, ...]) -> onnx.TensorProto:
        """Write random elements, those of vectors around 1; the tensor that says where they are."""
        offset, count = self.file.tell(), int(np.prod(shape))
        for start in range(0, count, BLOCK):
            drawn = SPREAD * self.dice.standard_normal(min(BLOCK, count - start), np.float32)
            self.file.write((drawn + (len(shape) == 1)).tobytes())
        tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=shape)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        place = {"location": self.location, "offset": offset, "length": 4 * count}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        return tensor


def write(path: Path, weights_bytes: float) -> None:
    """A model with about so many bytes of weights beside it."""
    data = _data_of(path)
    layers = max(1, round(weights_bytes / LAYER_BYTES))
    with data.open("wb") as file:
        onnx.save(wide_layers(layers, CHANNELS, HEADS, Weights(file, data.name)), path)


def _data_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.data")


def rewrite(request: Json) -> Json:
    """Runs in the child."""
    before = _written_bytes()
    result = autochunk(request["source"], no_verify=request["no_verify"])
    result.save(request["out"])
    written = _written_bytes() - before
    others = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    own = status_bytes("VmHWM")  # `getrusage` counts what started this program as well
    return {"chunked": result.plan is not None, "own": own, "others": others, "written": written}


def _written_bytes() -> int:
    """By this process and by those that it has waited for. Source: proc_pid_io(5)."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar:"))


def measure(source: Path, *, no_verify: bool) -> Row:
    """One row of the table; what verification takes is shown and has no limits."""
    order = {"source": str(source), "out": str(source.with_name("out.onnx")), "no_verify": no_verify}
    start = time.perf_counter()
    answer = call(rewrite, order)
    elapsed_s = time.perf_counter() - start
    there = sum(file.stat().st_size for file in (source, _data_of(source)))
    figures = (
        at_most("MB of memory", answer["own"] / MB, MEMORY_MB, "{:,.0f}"),
        at_most("seconds", elapsed_s, SECONDS),
        at_most("written / there", answer["written"] / there, COPIES, "{:.3f}"),
    )
    chunked = exactly("chunked", answer["chunked"], wanted=True)
    if no_verify:
        return Row("--no-verify", {}, (chunked, *figures))
    facts = {figure.name: figure.cell.partition(" ")[0] for figure in figures}
    facts["MB of the largest process started"] = f"{answer['others'] / MB:,.0f}"
    return Row("verified", facts, (chunked,))


@click.command(context_settings={"show_default": True})
@click.option("--gigabytes", default=4.0, help="Of weights.")
@click.option("--verified", is_flag=True, help="Verify and measure as well, after a run without.")
@click.option("--folder", type=click.Path(file_okay=False, exists=True), help="Where files are put.")
def main(gigabytes: float, verified: bool, folder: str | None) -> None:
    """Rewrite a model with many weights within a limited memory and time."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        source = Path(place) / "large.onnx"
        write(source, gigabytes * 1e9)
        rows = [measure(source, no_verify=no_verify) for no_verify in (True, False)[: 1 + verified]]
    Console(width=WIDTH, highlight=False).print(table(rows))
    sys.exit(any(row.verdict != "kept" for row in rows))


if __name__ == "__main__":
    from tools import large as module  # the child imports functions by the module's real name

    module.main()
