"""The longest input that fits under a cap on ONNX Runtime's arena, original against chunked, by bisection.

`python -m tools.longest vit` exports the vision transformer at growing sizes, chunks each, and runs both in
child processes whose arena is one block, of the weights' size and 1 GiB more:

    vit: --image 912 -> 3,168, 3.47 times (12.1 times the area), goal 12

One block, because an arena that grows by what is asked for is exhausted by gaps: it never joins what it asked
for separately. Folded constants lie in the arena as well: what a model computes before the run counts like
what it computes in it. One block or layer is enough: those after it use the memory of the first again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import click
import onnx

from onnx_autochunk.api import autochunk
from onnx_autochunk.errors import AutochunkError, BudgetError
from onnx_autochunk.graph.load import load
from onnx_autochunk.memory.lifetime import simulate
from onnx_autochunk.runtime import launch
from onnx_autochunk.runtime.launch import Json
from onnx_autochunk.runtime.library import onnxruntime
from onnx_autochunk.runtime.session import element_dtype, run, session_options
from onnx_autochunk.verify.inputs import random_inputs, read_specs

ROOT = Path(__file__).parents[1]
MIB = 2**20
CAP_BYTES = 1024 * MIB
DOUBLED = 0  # the arena's way to grow under which it may begin with all that it may ever hold
EXHAUSTED = ("Available memory of", "Failed to allocate memory", "bad allocation", "bad_alloc")
SHARES = (0.95, 0.85, 0.7, 0.5)  # of the cap that a plan is made for; the arena is not filled without gaps


@dataclass(frozen=True, slots=True)
class Subject:
    """A model whose input grows along one option of its exporter.

    Attributes:
        option: the keyword of `build` that is the size.
        step: sizes are multiples of it.
        goal: how many times the original's longest the chunked model is to take, in `power` of the size.
        power: 2 where the length of the input is the square of the option (patches of an image).
    """

    option: str
    step: int
    first: int
    goal: float
    power: int = 1
    fixed: Sequence[str] = ()

    def times(self, longer: int, shorter: int) -> float:
        """How much longer one input is than another."""
        return float((longer / shorter) ** self.power)


SUBJECTS: Mapping[str, Subject] = {
    "gpt2": Subject("tokens", 64, 2048, 12, fixed=("--layers", "1")),
    "vit": Subject("image", 16, 512, 12, power=2, fixed=("--layers", "1")),
    "evoformer": Subject("residues", 4, 64, 3.2, fixed=("--blocks", "1", "--sequences", "64")),
    "unet": Subject("latent", 8, 32, 3.2),
}


@dataclass(frozen=True, slots=True)
class Probe:
    """One size that was tried; `budget_bytes` is what the plan was made for, None for the original."""

    size: int
    chunked: bool
    fits: bool
    elapsed_s: float
    budget_bytes: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The longest sizes of one model, and every probe that found them."""

    name: str
    option: str
    original: int
    chunked: int
    times: float
    goal: float
    probes: tuple[Probe, ...]


def longest(fits: Callable[[int], bool], first: int, step: int, most: int | None = None) -> int:
    """The longest size that fits, to a step and 1/64 of it, if everything shorter fits too; 0 for none.

    Args:
        fits: tries a size, a multiple of `step`.
        first: tried first, and doubled until it does not fit.
        step: sizes are multiples of it.
        most: sizes above it are not tried.
    """
    below, above = 0, first
    while fits(above):
        if most is not None and above >= most:
            return above
        below, above = above, min(2 * above, most or 2 * above)
    while above - below > max(step, below // 64):
        middle = (below + above) // (2 * step) * step
        if middle in (below, above):
            break
        below, above = (middle, above) if fits(middle) else (below, middle)
    return below


def runs_within(
    path: Path, cap_bytes: int, *, threads: int, timeout_s: float | None = None
) -> tuple[bool, str]:
    """Whether a model runs with so many bytes above its weights, and what ONNX Runtime said where not.

    Raises:
        ChildError: it failed for another reason.
    """
    request = {"path": str(path.absolute()), "most": cap_bytes + weights_bytes(path), "threads": threads}
    try:
        launch.call(_run_capped, request, timeout_s=timeout_s)
    except AutochunkError as error:
        if not any(text in str(error) for text in EXHAUSTED):
            raise
        return False, _first_line(str(error))
    return True, ""


def weights_bytes(path: Path) -> int:
    """Bytes of all initializers of the file."""
    weights = onnx.load(path, load_external_data=False).graph.initializer
    return sum(prod(weight.dims) * element_dtype(weight.data_type).itemsize for weight in weights)


def _run_capped(request: Json) -> Json:
    """Runs in the child."""
    ort = onnxruntime()
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    most = request["most"]
    limits = ort.OrtArenaCfg(
        {"max_mem": most, "initial_chunk_size_bytes": most, "arena_extend_strategy": DOUBLED}
    )
    ort.create_and_register_allocator(memory, limits)
    options = session_options(threads=request["threads"])
    options.add_session_config_entry("session.use_env_allocators", "1")
    session = ort.InferenceSession(request["path"], options, providers=["CPUExecutionProvider"])
    inputs = random_inputs(read_specs(Path(request["path"])), seed=0)
    start = time.perf_counter()
    run(session, inputs)
    return {"elapsed_s": time.perf_counter() - start}


def _first_line(text: str) -> str:
    found = [line for line in text.splitlines() if any(word in line for word in EXHAUSTED)]
    return (found or [text])[0][-200:]


@dataclass(slots=True)
class Search:
    """Bisection for one model; remembers what it tried, and keeps no file longer than it needs it."""

    name: str
    subject: Subject
    folder: Path
    threads: int
    probes: list[Probe]

    def fits(self, size: int, *, chunked: bool) -> bool:
        """Whether the model of one size runs under the cap."""
        start = time.perf_counter()
        with self._exported(size) as path:
            probe = self._chunked(size, path, start) if chunked else self._original(size, path, start)
        self.probes.append(probe)
        text = "fits" if probe.fits else f"does not fit: {probe.why}"
        what = "chunked" if chunked else "original"
        click.echo(
            f"{self.name} {self.subject.option}={size} {what} {text} ({probe.elapsed_s:.0f} s)", err=True
        )
        return probe.fits

    def _original(self, size: int, path: Path, start: float) -> Probe:
        peak = simulate(load(path).graph).peak_bytes
        if peak > 1.5 * CAP_BYTES:  # far beyond any error of the prediction
            fits, why = False, f"{peak / MIB:,.0f} MiB predicted"
        else:
            fits, why = runs_within(path, CAP_BYTES, threads=self.threads)
        return Probe(size, False, fits, time.perf_counter() - start, None, why)

    def _chunked(self, size: int, path: Path, start: float) -> Probe:
        out, budget, why = path.with_name("chunked.onnx"), 0, ""
        for share in SHARES:
            budget = int(share * CAP_BYTES)
            try:
                autochunk(path, budget=budget, no_verify=True).save(out)
            except BudgetError as error:
                why = why or str(error)
                break
            fits, why = runs_within(out, CAP_BYTES, threads=self.threads)
            if fits:
                return Probe(size, True, True, time.perf_counter() - start, budget)
        return Probe(size, True, False, time.perf_counter() - start, budget, why)

    @contextmanager
    def _exported(self, size: int) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            path = Path(place) / f"{self.name}.onnx"
            line = [sys.executable, "-m", "models", self.name, str(path), *self.subject.fixed]
            line += [f"--{self.subject.option}", str(size)]
            subprocess.run(line, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            yield path


def find(name: str, folder: Path, threads: int, *, enough: bool) -> Found:
    """Bisect for the original, then for the chunked model; `enough` stops at the goal."""
    subject = SUBJECTS[name]
    search = Search(name, subject, folder, threads, [])
    original = longest(lambda size: search.fits(size, chunked=False), subject.first, subject.step)
    goal = _multiple(original * subject.goal ** (1 / subject.power), subject.step)
    most = goal if enough else None
    chunked = longest(lambda size: search.fits(size, chunked=True), goal, subject.step, most)
    times = subject.times(chunked, original)
    return Found(name, subject.option, original, chunked, times, subject.goal, tuple(search.probes))


def _multiple(size: float, step: int) -> int:
    """The least multiple of a step that is not below a size."""
    return -int(-size // step) * step


def show(found: Found) -> str:
    """One line for a reader."""
    power = SUBJECTS[found.name].power
    squared = f" ({found.times:.1f} times the area)" if power == 2 else ""
    return (
        f"{found.name}: --{found.option} {found.original:,} -> {found.chunked:,}, "
        f"{found.chunked / found.original:.2f} times{squared}, goal {found.goal}"
    )


@click.command(context_settings={"show_default": True})
@click.argument("names", nargs=-1, type=click.Choice(list(SUBJECTS)))
@click.option("--threads", default=2, help="Threads to run with.")
@click.option("--enough", is_flag=True, help="Stop where the goal is reached.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all here.")
def main(names: Sequence[str], threads: int, enough: bool, json_file: Path | None) -> None:
    """Find the longest input of the example models, all or NAMES, under a cap of 1 GiB above the weights."""
    folder = ROOT / "build" / "longest"
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Any] = []
    for name in names or tuple(SUBJECTS):
        found = find(name, folder, threads, enough=enough)
        click.echo(show(found))
        rows.append(asdict(found))
        if json_file is not None:
            json_file.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    sys.exit(any(row["times"] < row["goal"] for row in rows))


if __name__ == "__main__":
    from tools import longest as module  # the child imports functions by the module's real name

    module.main()
