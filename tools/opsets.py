"""Small networks exported at every opset by both of torch's exporters, chunked by the plain API.

`python -m tools.opsets` -> the table of `docs/opsets.md`, a row for each model, exporter and opset:

    | transformer | TorchScript | 14 | 14 | 14 | 2 | scan | 13.0 MiB | 4.7 MiB | equal |

Two fifths of the original's peak is the budget, and every result is run and compared with its original.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import onnx
import torch
from torch.nn import functional

from models.export import Example, quiet, seeded
from onnx_autochunk.api import autochunk
from onnx_autochunk.errors import AutochunkError
from onnx_autochunk.report.record import Status

OLDEST, NEWEST = 11, onnx.defs.onnx_opset_version()
BUDGET = "40%"
EXPORTERS: Mapping[str, bool] = {"TorchScript": False, "dynamo": True}  # name -> torch.onnx.export(dynamo=)
COLUMNS = (
    "model", "exporter", "opset asked for", "opset in", "opset out", "regions", "forms", "peak before",
    "after", "outputs",
)  # fmt: skip


class Transformer(torch.nn.Module):
    """A block of GPT-2, `(1, tokens, width)` -> the same, with its causal mask made inside."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(width) for _ in range(2))
        self.qkv, self.project = torch.nn.Linear(width, 3 * width), torch.nn.Linear(width, width)
        self.up, self.down = torch.nn.Linear(width, 4 * width), torch.nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attention and MLP, each with its residual."""
        _, tokens, width = x.shape
        heads = (1, tokens, self.heads, width // self.heads)
        q, k, v = (part.reshape(heads).transpose(1, 2) for part in self.qkv(self.norms[0](x)).chunk(3, -1))
        position = torch.arange(tokens)
        scores = (q @ k.transpose(-1, -2) / 8).masked_fill(position > position[:, None], -1e4)
        x = x + self.project((scores.softmax(-1) @ v).transpose(1, 2).reshape(1, tokens, width))
        hidden: torch.Tensor = x + self.down(functional.gelu(self.up(self.norms[1](x)), approximate="tanh"))
        return hidden


def _transformer() -> Example:
    return Example(Transformer(32, 4), {"x": torch.randn(1, 512, 32)}, ("y",))


def _convolutional() -> Example:
    layers = (
        torch.nn.Conv2d(3, 32, 3, padding=1),
        torch.nn.BatchNorm2d(32),
        torch.nn.SiLU(),
        torch.nn.Conv2d(32, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(32, 16, 3, padding=1),
        torch.nn.Upsample(scale_factor=2),
        torch.nn.Conv2d(16, 3, 1),
    )
    return Example(torch.nn.Sequential(*layers), {"x": torch.randn(1, 3, 128, 128)}, ("y",))


MODELS: Mapping[str, Callable[[], Example]] = {"transformer": _transformer, "convolutional": _convolutional}


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one export.

    Attributes:
        asked: the opset that the exporter was asked for.
        opset_in: the opset that it wrote; None when it refused.
        equal: None when nothing was compared.
        message: why there is no result; empty otherwise.
    """

    model: str
    exporter: str
    asked: int
    opset_in: int | None = None
    opset_out: int | None = None
    regions: int = 0
    forms: tuple[str, ...] = ()
    before_bytes: int | None = None
    after_bytes: int | None = None
    equal: bool | None = None
    message: str = ""

    def __str__(self) -> str:
        found = (self.model, self.exporter, self.asked, self.opset_in or "-")
        if self.message:
            return _line(*found, *"-----", self.message)
        peaks = (_mib(self.before_bytes), _mib(self.after_bytes))
        outputs = "equal" if self.equal else "different"
        return _line(*found, self.opset_out, self.regions, ", ".join(self.forms), *peaks, outputs)


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _mib(size_bytes: int | None) -> str:
    return "-" if size_bytes is None else f"{size_bytes / 2**20:.1f} MiB"


def try_export(model: str, exporter: str, opset: int, folder: Path) -> Row:
    """Export one model, chunk it, and say what came of it; the files stay in `folder`."""
    path, row = folder / f"{model}-{exporter}-{opset}.onnx", Row(model, exporter, opset)
    example = seeded(MODELS[model], 0, torch.float32)
    try:
        export(example, path, opset, dynamo=EXPORTERS[exporter])
    except Exception as error:  # noqa: BLE001 - exporters raise what they like
        return Row(model, exporter, opset, message=f"the exporter refuses: {_first_line(error)}")
    return chunked(path, row)


def export(example: Example, path: Path, opset: int, *, dynamo: bool) -> None:
    """Write `example` by one of the two exporters."""
    with quiet():
        torch.onnx.export(
            example.module,
            tuple(example.inputs.values()),
            path,
            input_names=list(example.inputs),
            output_names=list(example.outputs),
            opset_version=opset,
            dynamo=dynamo,
            external_data=False,
            verbose=False,
        )


def chunked(path: Path, row: Row) -> Row:
    """The row of a file, completed."""
    opset_in = opset_of(onnx.load(path))
    try:
        result = autochunk(path, budget=BUDGET, threads=1)
    except AutochunkError as error:
        return Row(row.model, row.exporter, row.asked, opset_in, message=_first_line(error, path))
    report = result.report
    if report.status is not Status.CHUNKED:
        return Row(row.model, row.exporter, row.asked, opset_in, message=report.message)
    out = path.with_suffix(".out.onnx")
    result.save(out)
    return Row(
        row.model,
        row.exporter,
        row.asked,
        opset_in,
        opset_of(onnx.load(out)),
        len(report.regions),
        tuple(sorted({region.form for region in report.regions})),
        report.baseline.peak_bytes,
        report.chunked.peak_bytes,
        report.verify is not None and report.verify.passed,
    )


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the standard's own operators."""
    return next(int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def _first_line(error: Exception, path: Path | None = None) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.replace(str(path), "the file")


def rows(models: Sequence[str], folder: Path) -> Iterator[Row]:
    """Every exporter and opset, for each model."""
    for model in models:
        for exporter in EXPORTERS:
            for opset in range(OLDEST, NEWEST + 1):
                yield try_export(model, exporter, opset, folder)


@click.command()
@click.option("--model", "models", type=click.Choice(list(MODELS)), multiple=True, default=list(MODELS))
def main(models: Sequence[str]) -> None:
    """Print the table as Markdown."""
    print(_line(*COLUMNS), _line(*["---"] * len(COLUMNS)), sep="\n")
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(models, Path(folder)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
