"""Holds models whose sizes stay open against their originals: outputs at many sizes, and peaks.

`python -m tools.open_sizes bert` exports BERT (2 layers) with open axes, chunks it for 2,048 tokens with its
sizes open and once more with them fixed, compares the outputs of the open one with the original's at lengths
and batches that nothing was planned for, and measures what it holds at 2,048 and at 8,192 tokens:

    | bert | 14 | 2.4e-06 | 513.9 MiB | 43.9 MiB | 39.6 MiB | 0.90 | 156.4 MiB | 3.95 |

Nothing is timed unless `--timed` is given: then the plan is the one that a run on an idle machine finds.
Exit code 1 says that outputs differ or that a limit on a peak is broken.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import click

from onnx_autochunk.api import autochunk
from onnx_autochunk.verify.compare import Comparison, merge
from onnx_autochunk.verify.equality import compare_models
from onnx_autochunk.verify.inputs import random_inputs, read_specs
from onnx_autochunk.verify.measure import measure_peak

ROOT = Path(__file__).parents[1]
MIB = 2**20
OVER_FIXED = 1.3  # most that the open plan may hold over the one for fixed sizes
GROWTH = 6.0  # most that it may hold at four times the tokens over what it holds at the reference
BATCHES = (1, 3)
HEADER = (
    "| model | sizes compared | largest difference | original | fixed sizes | open sizes | open / fixed "
    "| at 8,192 tokens | times the reference |\n|---|---|---|---|---|---|---|---|---|"
)

Dims: TypeAlias = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Subject:
    """A model with open axes.

    Attributes:
        export: options of the exporter besides `--dynamic`.
        reference: sizes that it is planned for, of about 2,048 tokens.
        others: sizes that outputs are compared at, in each of `BATCHES`.
        long: sizes of about 8,192 tokens.
    """

    export: tuple[str, ...]
    reference: Dims
    others: tuple[Dims, ...]
    long: Dims


def _text(tokens: int) -> Dims:
    return {"batch": 1, "tokens": tokens}


def _image(height: int, width: int) -> Dims:
    return {"batch": 1, "height": height, "width": width}


TEXT = Subject(
    ("--layers", "2", "--tokens", "8192"),
    _text(2048),
    tuple(map(_text, (1, 7, 127, 128, 1000, 2048, 3001))),
    _text(8192),
)
# Patches of 16: 1, 7, 13, 32 and parts left over, 143, 1369, 2025, 3127.
IMAGES = ((16, 16), (16, 112), (208, 16), (75, 130), (176, 208), (592, 592), (720, 720), (848, 944))
SUBJECTS: Mapping[str, Subject] = {
    "gpt2": TEXT,
    "bert": TEXT,
    "vit": Subject(
        ("--layers", "2"),
        _image(720, 720),
        tuple(_image(*sides) for sides in IMAGES),
        _image(1440, 1456),
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """What was found about one model; peaks of one run."""

    name: str
    sizes: int
    comparison: Comparison
    original_bytes: int
    fixed_bytes: int
    open_bytes: int
    long_bytes: int
    slowdown: float | None

    @property
    def over_fixed(self) -> float:
        """What open sizes hold over fixed ones, at the reference."""
        return self.open_bytes / self.fixed_bytes

    @property
    def growth(self) -> float:
        """What is held at four times the tokens over what is held at the reference."""
        return self.long_bytes / self.open_bytes

    @property
    def kept(self) -> bool:
        """True when every limit is."""
        return self.comparison.passed and self.over_fixed <= OVER_FIXED and self.growth <= GROWTH

    def __str__(self) -> str:
        """A line of the table."""
        peaks = [f"{held / MIB:.1f} MiB" for held in (self.original_bytes, self.fixed_bytes, self.open_bytes)]
        cells = [self.name, str(self.sizes), f"{self.comparison.max_abs:.1e}", *peaks]
        cells += [f"{self.over_fixed:.2f}", f"{self.long_bytes / MIB:.1f} MiB", f"{self.growth:.2f}"]
        return f"| {' | '.join(cells)} |"


def examine(name: str, folder: Path, *, timed: bool) -> Row:
    """Export, chunk, compare and measure one model; files stay in the folder."""
    subject, original = SUBJECTS[name], _exported(name, folder)
    reference, opened, fixed = subject.reference, folder / f"{name}-open.onnx", folder / f"{name}-fixed.onnx"
    found = autochunk(original, dims=reference, no_verify=not timed)
    found.save(opened)
    autochunk(original, dims=reference, no_verify=not timed, fix_dims=True).save(fixed)
    sizes = [{**dims, "batch": batch} for batch in BATCHES for dims in subject.others]
    return Row(
        name,
        len(sizes),
        original_bytes=_peak_bytes(original, reference),
        fixed_bytes=_peak_bytes(fixed, {}),
        open_bytes=_peak_bytes(opened, reference),
        long_bytes=_peak_bytes(opened, subject.long),
        comparison=merge(_compared(original, opened, dims) for dims in sizes),
        slowdown=found.report.slowdown_measured,
    )


def _exported(name: str, folder: Path) -> Path:
    path = folder / f"{name}.onnx"
    if not path.exists():
        command = [sys.executable, "-m", "models", name, str(path), "--dynamic", *SUBJECTS[name].export]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return path


def _peak_bytes(path: Path, dims: Dims) -> int:
    inputs = random_inputs(read_specs(path, dims=dims), seed=0)
    found = measure_peak(path, inputs, default_session=False).activation_peak_bytes
    click.echo(f"{path.name} at {dict(dims) or 'its sizes'}: {found / MIB:.1f} MiB", err=True)
    return found


def _compared(original: Path, opened: Path, dims: Dims) -> Comparison:
    inputs = random_inputs(read_specs(original, dims=dims), seed=0)
    found = compare_models(original, opened, [inputs])
    said = found.reason or f"largest difference {found.max_abs:.1e}, relative {found.max_rel:.1e}"
    click.echo(f"{opened.name} at {dict(dims)}: {said}", err=True)
    return found


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(SUBJECTS)))
@click.option("--timed", is_flag=True, help="Choose plans by what runs take, as the command line does.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all here.")
def main(names: Sequence[str], timed: bool, json_file: Path | None) -> None:
    """Compare and measure models with open sizes, all or NAMES."""
    folder = ROOT / "build" / "open_sizes"
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for name in names or SUBJECTS:
        rows.append(examine(name, folder, timed=timed))
        if json_file is not None:
            found: list[Any] = [asdict(row) for row in rows]
            json_file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    click.echo("\n".join([HEADER, *map(str, rows)]))
    sys.exit(not all(row.kept for row in rows))


if __name__ == "__main__":
    main()
