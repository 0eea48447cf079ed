"""Time of two models against each other on a machine that is busy: one thread, by that thread's own clock.

The clock stops while something else has the core; what others do to caches and memory still shows, and the
prices hold for more threads than one. For a first look only.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from onnx_autochunk.runtime import launch
from onnx_autochunk.runtime.launch import Json
from onnx_autochunk.runtime.session import default_options, open_session, runner
from onnx_autochunk.verify.arrays import Array, load_arrays, save_arrays

Pairs = tuple[tuple[float, float], ...]


def measure_cpu_time(baseline: Path, chunked: Path, inputs: Mapping[str, Array], pairs: int) -> Pairs:
    """Seconds of both, in runs that directly followed each other."""
    with tempfile.TemporaryDirectory() as folder:
        save_arrays(Path(folder) / "inputs", inputs)
        paths = [str(path.absolute()) for path in (baseline, chunked)]
        request: Json = {"paths": paths, "inputs": str(Path(folder) / "inputs"), "pairs": pairs}
        answer = launch.call(_time, request)
    return tuple((float(a), float(b)) for a, b in answer["pairs"])


def _time(request: Json) -> Json:
    """Runs in the child."""
    feeds = load_arrays(Path(request["inputs"]))
    options = default_options(threads=1)
    runs = [runner(open_session(path, options=options), feeds) for path in request["paths"]]
    for run in runs:
        run()
    return {"pairs": [_pair(runs, swapped=number % 2 == 1) for number in range(request["pairs"])]}


def _pair(runs: Sequence[Callable[[], None]], *, swapped: bool) -> tuple[float, float]:
    seconds = {which: _cpu_s(runs[which]) for which in ((1, 0) if swapped else (0, 1))}
    return seconds[0], seconds[1]


def _cpu_s(once: Callable[[], None]) -> float:
    start = time.thread_time()
    once()
    return time.thread_time() - start
