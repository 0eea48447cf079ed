"""What chunked models do on a GPU, by one command, in under 8 minutes and without a network.

    python -m tools.cuda_check              # all of it; JSON in docs/results/, a line for each result

1. Assignment: which provider runs which ops of each model in each form, and how many copies between devices.
2. Large: peak and time of each model before and after, at lengths that fill tens of GB.
3. Longest: the longest input of GPT-2 under a cap on the GPU's memory, before and after.
4. Constants: what calls, iterations, products and copies cost, for `cost/profiles/cuda.json`.

Lengths keep attention scores under 2^31 elements, above which ONNX Runtime's kernels count wrongly: the
original is to be right. What this build of ONNX Runtime cannot do is written down, and the rest goes on; so
is what there was no time for. Exit codes: 0 all checks hold, 1 one does not, 3 there is no GPU to use.
`--provider cpu --quick` runs the same steps on small models and says nothing about a GPU.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from onnx_autochunk.api import autochunk
from onnx_autochunk.errors import AutochunkError
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.save import save
from onnx_autochunk.runtime import device, launch
from onnx_autochunk.runtime.library import onnxruntime
from onnx_autochunk.runtime.session import PROVIDERS, start_library
from onnx_autochunk.verify.device import measure_device
from onnx_autochunk.verify.equality import compare_models
from onnx_autochunk.verify.inputs import random_inputs, read_specs
from onnx_autochunk.verify.measure import measure_time
from tools import cuda_child
from tools.cuda_models import DTYPES, FULL, GOALS, QUICK, Job, Sizes, export, jobs, prepare_all
from tools.longest import EXHAUSTED, ROOT, longest, runs_within, weights_bytes

NO_GPU = 3
MOST_RATIO = 1.05
SHARES = (0.85, 0.6)  # of the cap that a plan is made for
PAIRS = 3


class Check:
    """The steps, and what they found; results are written after each, so that none is lost."""

    def __init__(self, out: Path, provider: str, sizes: Sizes, folder: Path, seconds: float) -> None:
        self.out, self.provider, self.sizes, self.folder = out, provider, sizes, folder
        self.start = time.perf_counter()
        self.end = self.start + seconds
        self.results: dict[str, Any] = {"environment": environment(provider), "sizes": asdict(sizes)}
        self.failed: list[str] = []

    def step(self, part: str, key: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Do one thing, unless time is up; an error is a result as well, and what was not checked fails."""
        if time.perf_counter() > self.end:
            found: dict[str, Any] = {"skipped": "no time left"}
        else:
            try:
                found = work()
            except Exception as error:  # noqa: BLE001 - whatever a build lacks, the rest goes on
                found = {"error": f"{type(error).__name__}: {error}"[-1000:]}
        for why in found.keys() & {"error", "skipped"}:
            self.expect(False, f"{part}, {key}: not checked: {found[why]}")
        self.results.setdefault(part, {})[key] = found
        self.results["elapsed_s"] = round(time.perf_counter() - self.start, 1)
        self.results["failed"] = self.failed
        self.out.write_text(json.dumps(self.results, indent=1) + "\n", encoding="utf-8")
        click.echo(f"{part}, {key}: {json.dumps(found)}")
        return found

    def expect(self, holds: bool, what: str) -> None:
        """Note a check that does not hold."""
        if not holds:
            self.failed.append(what)

    def assignment(self, job: Job) -> dict[str, Any]:
        """Which provider ran what, in each form."""
        paths = {form: str(job.file(form)) for form in ("original", *job.forms) if job.file(form).exists()}
        found = launch.call(cuda_child.traced, {"paths": paths, "provider": self.provider}, timeout_s=120)
        allowed = self._elsewhere(found["original"])
        for form, told in found.items():
            strange = self._elsewhere(told) - allowed
            self.expect(not strange, f"{job.key} {form}: {', '.join(sorted(strange))} not on {self.provider}")
            repeated = told.get("copy_calls", 0) - told.get("copy_nodes", 0)
            self.expect(repeated == 0, f"{job.key} {form}: {repeated} copies between devices in bodies")
            self.expect("error" not in told, f"{job.key} {form}: {told.get('error')}")
        return found

    def _elsewhere(self, told: Mapping[str, Any]) -> set[str]:
        own = PROVIDERS[self.provider][0]
        return {kind for provider, ops in told.get("nodes", {}).items() if provider != own for kind in ops}

    def large(self, job: Job) -> dict[str, Any]:
        """Peak and time before and after, and whether both compute the same."""
        before, after = job.file("original"), job.file("auto")
        inputs = random_inputs(read_specs(before), seed=0)
        run: dict[str, Any] = {"provider": self.provider, "timeout_s": 120.0}
        found: dict[str, Any] = {"after": asdict(measure_device(after, inputs, **run))}
        try:
            found["before"] = asdict(measure_device(before, inputs, **run))
        except AutochunkError as error:
            return found | {"error": f"the original does not run: {error}"[-1000:]}
        for which in ("in_use_bytes", "held_bytes"):
            if (whole := found["before"][which]) and (part := found["after"][which]) is not None:
                found[f"{which.removesuffix('_bytes')}_share"] = part / whole
        timed = measure_time(before, after, inputs, pairs=PAIRS, **run)
        found["time"] = asdict(timed)
        compared = compare_models(before, after, [inputs], **run)
        found["same"] = {"passed": compared.passed, "max_abs": compared.max_abs, "why": compared.reason}
        self.expect(compared.passed, f"{job.key}: outputs differ: {compared.reason}")
        if self.provider == "cuda":
            share = found.get("in_use_share", found.get("held_share", 0.0))
            self.expect(share <= GOALS[job.name], f"{job.key}: peak {share:.1%}")
            self.expect(timed.ratio <= MOST_RATIO, f"{job.key}: time ratio {timed.ratio:.2f}")
        return found

    def longest(self) -> dict[str, Any]:
        """The longest GPT-2 input under the cap: a bisection before, and multiples of what it found after."""
        source = self.folder / "growing.onnx"
        export("gpt2", source, f"{self.sizes.growing} --dtype {self.sizes.dtype}")
        original = longest(lambda tokens: self._fits(source, tokens), self.sizes.first, self.sizes.step)
        fitting = 0
        for times in self.sizes.times:
            if time.perf_counter() > self.end or not self._chunked_fits(source, times * original):
                break
            fitting = times
        goal = self.sizes.goal
        self.expect(fitting >= goal, f"gpt2: {fitting} times the tokens, not {goal}")
        return {"cap_bytes": self.sizes.cap_bytes, "original_tokens": original, "times": fitting}

    def _fits(self, source: Path, tokens: int) -> bool:
        path = self.folder / "before.onnx"
        save(load(source, dims={"batch": 1, "tokens": tokens}).model, path)
        return self._runs(path)

    def _chunked_fits(self, source: Path, tokens: int) -> bool:
        path, left = self.folder / "after.onnx", self.sizes.cap_bytes
        if self.provider == "cuda":
            left -= weights_bytes(source)
        for share in SHARES:
            result = autochunk(
                source, dims={"batch": 1, "tokens": tokens}, fix_dims=True, budget=int(share * left),
                provider=self.provider, no_verify=True, best_effort=True,
            )  # fmt: skip
            result.save(path)
            if self._runs(path):
                return True
        return False

    def _runs(self, path: Path) -> bool:
        if self.provider == "cpu":
            return runs_within(path, self.sizes.cap_bytes, threads=1)[0]
        try:
            launch.call(
                cuda_child.run_capped, {"path": str(path), "most": self.sizes.cap_bytes}, timeout_s=60
            )
        except AutochunkError as error:
            if not any(text in str(error) for text in (*EXHAUSTED, "out of memory")):
                raise
            return False
        return True

    def constants(self) -> dict[str, Any]:
        """What calls and iterations cost."""
        request = {
            "folder": str(self.folder), "provider": self.provider, "side": self.sizes.side,
            "repeats": self.sizes.repeats,
        }  # fmt: skip
        return launch.call(cuda_child.constants, request, timeout_s=60)


def environment(provider: str) -> dict[str, Any]:
    """What the figures were measured with."""
    ort = onnxruntime()
    return {
        "provider": provider,
        "gpu": device.name(),
        "memory_bytes": device.memory_bytes(),
        "driver": device.driver_version(),
        "onnxruntime": ort.__version__,
        "cuda": getattr(ort, "cuda_version", None),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def run(checks: Check, small: Sequence[Job], large: Sequence[Job], workers: int) -> None:
    """Every step."""
    for part, todo in (("small", small), ("large", large)):
        checks.step("prepared", part, partial(prepare_all, todo, workers))
    for job in small:
        checks.step("assignment", job.key, partial(checks.assignment, job))
    checks.step("constants", checks.provider, checks.constants)
    half = [job for job in large if job.dtype == DTYPES[0]]
    for job in half:
        checks.step("large", job.key, partial(checks.large, job))
    checks.step("longest", "gpt2", checks.longest)
    for job in large:
        if job not in half:
            checks.step("large", job.key, partial(checks.large, job))


@click.command(context_settings={"show_default": True})
@click.option("--provider", type=click.Choice(list(PROVIDERS)), default="cuda", help="What to run on.")
@click.option("--quick", is_flag=True, help="Small models, to see that the steps work.")
@click.option("--model", "names", multiple=True, type=click.Choice(list(GOALS)), help="Some models only.")
@click.option("--dtype", "dtypes", multiple=True, type=click.Choice(DTYPES), help="One type only.")
@click.option("--seconds", default=430.0, help="After which no step is started.")
@click.option(
    "--workers", default=max(1, min(8, (os.cpu_count() or 2) // 2)), help="Models prepared at a time."
)
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Keep models here.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Results; docs/results/ if left out."
)
def main(
    *,
    provider: str,
    quick: bool,
    names: Sequence[str],
    dtypes: Sequence[str],
    seconds: float,
    workers: int,
    folder: Path | None,
    out: Path | None,
) -> None:
    """Check chunked models on ONNX Runtime's CUDA provider; exit code 3 where it cannot be used."""
    try:
        start_library(provider)
    except AutochunkError as error:
        click.echo(f"Nothing was run: {error}", err=True)
        sys.exit(NO_GPU)
    if out is None:
        out = ROOT / "docs" / "results" / f"{(device.name() or provider).lower().replace(' ', '-')}.json"
        out.parent.mkdir(exist_ok=True)
    sizes = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="onnx_autochunk-") as temporary:
        place = (folder or Path(temporary)).absolute()
        small, large = jobs(sizes, names or tuple(GOALS), dtypes or DTYPES, place, provider)
        checks = Check(out, provider, sizes, place, seconds)
        run(checks, small, large, workers)
    for what in checks.failed:
        click.echo(f"does not hold: {what}")
    click.echo(f"{out}: {checks.results['elapsed_s']} s")
    sys.exit(bool(checks.failed))


if __name__ == "__main__":
    from tools import cuda_check as module  # children import functions by the module's real name

    module.main()
