"""The models that `tools.cuda_check` runs: exported and chunked on the CPU, several at a time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from onnx_autochunk.api import autochunk
from onnx_autochunk.cuda.check import check
from onnx_autochunk.errors import AutochunkError
from onnx_autochunk.graph.functions import defined
from onnx_autochunk.graph.load import load
from tools.longest import ROOT

GIB = 2**30
FORMS = ("auto", "scan", "sweep", "unroll")
DTYPES = ("float16", "float32")
GOALS = {"gpt2": 0.10, "vit": 0.10, "evoformer": 0.20, "unet": 0.20}  # of the original's peak

SMALL: Mapping[str, str] = {
    "gpt2": "--layers 2 --tokens 1024 --width 256 --heads 4 --vocab 512",
    "vit": "--layers 2 --image 512 --width 256 --heads 4",
    "evoformer": "--blocks 1 --residues 64 --sequences 16",
    "unet": "--latent 32 --width 32 --heads 4",
}
LARGE: Mapping[str, str] = {
    "gpt2": "--layers 2 --tokens 13312",
    "vit": "--layers 2 --image 1792",
    "evoformer": "--blocks 1 --residues 768 --sequences 128",
    "unet": "--latent 120",
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large everything is.

    Attributes:
        growing: how the model whose input grows is exported.
        first: its length that is tried first.
        step: lengths are multiples of it.
        times: how many times the longest length of the original is tried with the chunked one.
        goal: which of them is to fit.
        dtype: of the model whose input grows.
        side: of matrices whose products are timed.
    """

    small: Mapping[str, str]
    large: Mapping[str, str]
    growing: str
    first: int
    step: int
    times: Sequence[int]
    goal: int
    dtype: str
    cap_bytes: int
    side: int
    repeats: int


FULL = Sizes(
    SMALL,
    LARGE,
    growing="--layers 1 --tokens 262144 --dynamic",
    first=4096,
    step=256,
    times=(4, 8, 12, 16, 24),
    goal=12,
    dtype="float16",
    cap_bytes=16 * GIB,
    side=4096,
    repeats=10,
)
QUICK = Sizes(
    {name: sizes.replace("1024", "256").replace("512 ", "128 ") for name, sizes in SMALL.items()},
    SMALL,
    growing="--layers 1 --tokens 4096 --width 64 --heads 4 --vocab 128 --dynamic",
    first=256,
    step=256,
    times=(2,),
    goal=2,
    dtype="float32",
    cap_bytes=32 * 2**20,
    side=256,
    repeats=20,
)


@dataclass(frozen=True, slots=True)
class Job:
    """One model to export and to chunk in some forms."""

    name: str
    arguments: str
    dtype: str
    forms: tuple[str, ...]
    folder: Path
    provider: str

    @property
    def key(self) -> str:
        """What it is called in the results."""
        return f"{self.name} {self.dtype}"

    def file(self, form: str) -> Path:
        """Where the model lies in one form; "original" is as it was exported."""
        return self.folder / f"{self.name}-{self.dtype}-{form}.onnx"


def prepare(job: Job) -> dict[str, Any]:
    """Export and chunk a model on the CPU; what is known without running it, by form."""
    try:
        export(job.name, job.file("original"), f"{job.arguments} --dtype {job.dtype}")
    except (OSError, subprocess.CalledProcessError) as error:
        return {"original": {"error": f"not exported: {error}"}}
    return {"original": {}} | {form: _chunk(job, form) for form in job.forms}


def _chunk(job: Job, form: str) -> dict[str, Any]:
    budget = f"{GOALS[job.name]:.0%}"
    start = time.perf_counter()
    try:
        result = autochunk(
            job.file("original"), budget=budget, form=form, provider=job.provider, no_verify=True,
            best_effort=True,
        )  # fmt: skip
        result.save(job.file(form))
    except AutochunkError as error:
        return {"error": str(error)}
    report, elapsed_s = result.report, time.perf_counter() - start
    return {
        "regions": [f"{region.form} {region.count}" for region in report.regions],
        "predicted_before_bytes": report.baseline.predicted_peak_bytes,
        "predicted_after_bytes": report.chunked.predicted_peak_bytes,
        "predicted_slowdown": None if result.plan is None else result.plan.predicted_slowdown,
        "found_without_gpu": len(check(defined(load(job.file(form))).graph).bad),
        "planned_s": round(elapsed_s, 1),
    }


def export(name: str, path: Path, arguments: str) -> None:
    """Write an example model; one that is there already is left as it is."""
    if path.exists():
        return
    unfinished = path.with_suffix(".part")
    line = [sys.executable, "-m", "models", name, str(unfinished), *arguments.split()]
    subprocess.run(line, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    unfinished.rename(path)


def jobs(
    sizes: Sizes, names: Iterable[str], dtypes: Sequence[str], folder: Path, provider: str
) -> tuple[list[Job], list[Job]]:
    """The small models in every form, and the large ones in the planner's own choice."""
    pairs = [(name, dtype) for dtype in dtypes for name in names]
    parts = [(sizes.small, FORMS, "small"), (sizes.large, ("auto",), "large")]
    for _, _, part in parts:
        (folder / part).mkdir(exist_ok=True, parents=True)
    small, large = (
        [Job(name, table[name], dtype, forms, folder / part, provider) for name, dtype in pairs]
        for table, forms, part in parts
    )
    return small, large


def prepare_all(todo: Sequence[Job], workers: int) -> dict[str, Any]:
    """Prepare models, several at a time; what is known of each."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return dict(zip((job.key for job in todo), pool.map(prepare, todo), strict=True))
