"""What a model really takes: activation peak, resident memory, load time, and time against another model.

Everything runs in child processes. Memory is what the system holds for the process (`/proc/self/status`),
under settings that make every buffer its own mapping; then it agrees with ONNX Runtime's counters to 1 MiB.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from statistics import median

from ..errors import UsageError
from ..runtime import launch
from ..runtime.launch import EXACT_MEMORY, Json
from ..runtime.session import (
    default_options,
    disable,
    exact_options,
    open_session,
    runner,
    session_options,
    start_library,
)
from .arrays import Array, load_arrays, save_arrays
from .device import measure_device

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
FEWEST_PAIRS = 7  # runs of each model that a time ratio rests on
MOST_PAIRS = 31  # and where the side of a limit stays open
TOGETHER = 3  # pairs in one process: where its pages lie makes several percent from one process to the next
SPIN_S = 0.06  # so long threads of the session before keep a core busy, waiting for more work
LONGEST_S = 60.0  # after which no more pairs are started for it
MAPPED_BYTES = 64 * 2**10  # left behind by a call that was not the first to run some code
MOST_RUNS = 5  # of the model after its first, until one leaves less behind
SIGNIFICANCE = 0.05  # of the sign test that settles the side
RESET_PEAK = "5"  # what clear_refs takes to set VmHWM back to VmRSS. Source: proc_pid_clear_refs(5)


@dataclass(frozen=True, slots=True)
class PeakMeasurement:
    """Memory of one model, without the arena and the memory pattern unless said otherwise.

    Attributes:
        activation_peak_bytes: intermediates, kernels' own buffers and outputs of one run, above what was
            held before it.
        resident_bytes: what loading added to the process and kept: weights, packed weights, nodes; not ONNX
            Runtime itself.
        load_s: time to load.
        default_session_rise_bytes: under ONNX Runtime's default options (arena and memory pattern on): the
            most that is held during the second run, above what was held after loading. None: not measured.
    """

    activation_peak_bytes: int
    resident_bytes: int
    load_s: float
    default_session_rise_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class TimeMeasurement:
    """Time of one model against another.

    Attributes:
        ratio: median over pairs of chunked / baseline.
        baseline_s: median time of a run of the baseline.
        chunked_s: median time of a run of the chunked model.
        pairs: (baseline, chunked) seconds of runs that directly followed each other.
    """

    ratio: float
    baseline_s: float
    chunked_s: float
    pairs: tuple[tuple[float, float], ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """What `ratio` is the median of: chunked / baseline of each pair."""
        return tuple(chunked / baseline for baseline, chunked in self.pairs)


def measure_peak(
    path: str | os.PathLike[str],
    inputs: Mapping[str, Array],
    *,
    provider: str = "cpu",
    threads: int | None = None,
    default_session: bool = True,
    disabled: str = "",
    timeout_s: float | None = None,
) -> PeakMeasurement:
    """Measure the memory of one model; on CUDA, of the GPU.

    Args:
        path: the ONNX file.
        inputs: arrays by input name; they are not counted.
        provider: "cpu" or "cuda", of which the arguments from `default_session` on are not for the second.
        threads: threads within an operator; None or 0 leaves the number to ONNX Runtime.
        default_session: measure `default_session_rise_bytes` too, in a second child.
        disabled: optimizers to run without, for models on which one crashes; see `session.disable`.
        timeout_s: for each child.

    Raises:
        UsageError: this system has no /proc with a resettable high-water mark, or no GPU that tells.
        ModelError: ONNX Runtime does not accept the model.
        ChildError: the run failed, was killed or took too long.
    """
    if provider == "cuda":
        return _device_peak(path, inputs, threads)
    _require_proc()
    with _saved(inputs) as folder:
        request = {"path": str(Path(path).absolute()), "inputs": folder, "threads": threads}
        request["disabled"] = disabled
        exact = launch.call(_peak, request, environment=EXACT_MEMORY, timeout_s=timeout_s)
        rise = None
        if default_session:
            default = launch.call(_default_rise, request, environment=EXACT_MEMORY, timeout_s=timeout_s)
            rise = default["rise_bytes"]
    return PeakMeasurement(exact["peak_bytes"], exact["resident_bytes"], exact["load_s"], rise)


def _device_peak(
    path: str | os.PathLike[str], inputs: Mapping[str, Array], threads: int | None
) -> PeakMeasurement:
    found = measure_device(path, inputs, threads=threads)
    if found.bytes is None:
        raise UsageError("neither this ONNX Runtime nor the NVIDIA driver tells what a run holds")
    return PeakMeasurement(found.bytes, found.resident_bytes or 0, found.load_s)


def measure_time(
    baseline: str | os.PathLike[str],
    chunked: str | os.PathLike[str],
    inputs: Mapping[str, Array],
    *,
    limit: float | None = None,
    pairs: int = FEWEST_PAIRS,
    provider: str = "cpu",
    threads: int | None = None,
    timeout_s: float | None = None,
) -> TimeMeasurement:
    """Time two models against each other: runs in pairs, the order alternating, in a few processes.

    Args:
        baseline: the ONNX file to compare with.
        chunked: the ONNX file to judge.
        inputs: arrays by input name.
        limit: a ratio that something depends on: pairs go on until they tell on which side of it the median
            lies, up to `MOST_PAIRS` or `LONGEST_S` seconds.
        pairs: number of pairs, at least 1; with a limit the fewest.
        provider: "cpu" or "cuda".
        threads: threads within an operator; None or 0 leaves the number to ONNX Runtime.
        timeout_s: for each child.

    Raises:
        ModelError: ONNX Runtime does not accept a model.
        ChildError: a run failed, was killed or took too long.
    """
    if pairs < 1:
        raise UsageError(f"pairs={pairs}: at least one pair of runs is needed to compare times")
    paths = [str(Path(path).absolute()) for path in (baseline, chunked)]
    with _saved(inputs) as folder:
        request: Json = {"paths": paths, "inputs": folder, "threads": threads, "provider": provider}
        times, end = list[tuple[float, float]](), time.perf_counter() + LONGEST_S
        while (left := _pairs_left(times, pairs, limit, in_time=time.perf_counter() < end)) > 0:
            request |= {"pairs": min(left, TOGETHER), "swapped": len(times) % 2 == 1}
            answer = launch.call(_time_pairs, request, timeout_s=timeout_s)
            times += [(float(a), float(b)) for a, b in answer["pairs"]]
    return TimeMeasurement(
        ratio=median(b / a for a, b in times),
        baseline_s=median(a for a, _ in times),
        chunked_s=median(b for _, b in times),
        pairs=tuple(times),
    )


def _pairs_left(
    times: Sequence[tuple[float, float]], fewest: int, limit: float | None, *, in_time: bool
) -> int:
    """How many more pairs are wanted."""
    if len(times) < fewest:
        return fewest - len(times)
    return MOST_PAIRS - len(times) if in_time and not is_settled(times, limit) else 0


@contextlib.contextmanager
def _saved(inputs: Mapping[str, Array]) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="onnx_autochunk-") as name:
        save_arrays(Path(name) / "inputs", inputs)
        yield str(Path(name) / "inputs")


def _require_proc() -> None:
    if not CLEAR_REFS.exists() or not STATUS.exists():
        raise UsageError(
            f"memory is measured through {STATUS} and {CLEAR_REFS}, which only Linux has; here rely on "
            "the predicted peak, or measure on Linux"
        )


def _peak(request: Json) -> Json:
    """Runs in the child."""
    feeds = load_arrays(Path(request["inputs"]))
    options = disable(exact_options(threads=request["threads"]), request["disabled"])
    start_library()
    before = _settled_bytes()
    start = time.perf_counter()
    session = open_session(request["path"], options=options)
    load_s = time.perf_counter() - start
    resident = _settled_bytes() - before
    once = runner(session, feeds)
    once()  # starts threads, maps code and lets kernels build what they keep
    return {"peak_bytes": _steady_rise(once), "resident_bytes": resident, "load_s": load_s}


def _default_rise(request: Json) -> Json:
    """Runs in the child."""
    feeds = load_arrays(Path(request["inputs"]))
    options = disable(default_options(threads=request["threads"]), request["disabled"])
    session = open_session(request["path"], options=options)
    once = runner(session, feeds)
    loaded = _settled_bytes()
    once()
    return {"rise_bytes": _high_water(once) - loaded}


def _steady_rise(once: Callable[[], None]) -> int:
    """Most bytes that a call adds while it runs: of a call that leaves nothing behind, or of the best one.

    Now and then the second call still maps code, up to 0.7 MiB of it, which stays and is no activation.
    """
    rises: list[int] = []
    held, left = _settled_bytes(), MAPPED_BYTES
    while left >= MAPPED_BYTES and len(rises) < MOST_RUNS:
        rises.append(_high_water(once) - held)
        before, held = held, _settled_bytes()
        left = held - before
    return min(rises)


def _high_water(once: Callable[[], None]) -> int:
    """Most bytes resident during one call."""
    try:
        CLEAR_REFS.write_text(RESET_PEAK, encoding="ascii")
    except OSError as error:
        raise UsageError(
            f"the peak cannot be measured: this system does not let {CLEAR_REFS} be written"
        ) from error
    once()
    return status_bytes("VmHWM")


def _settled_bytes() -> int:
    """Bytes resident after everything that is free has been given back to the system."""
    gc.collect()
    with contextlib.suppress(
        OSError, AttributeError
    ):  # only glibc has it; with others there is nothing to trim
        ctypes.CDLL(None).malloc_trim(0)
    return status_bytes("VmRSS")


def status_bytes(key: str) -> int:
    """Bytes that the system gives for this process, such as "VmRSS". Source: proc_pid_status(5)."""
    lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


def _time_pairs(request: Json) -> Json:
    """Runs in the child."""
    feeds, provider = load_arrays(Path(request["inputs"])), request["provider"]
    # with the memory pattern both models would hold their peaks twice, and a GPU has no room for that
    options_of = session_options if provider == "cuda" else default_options
    baseline, chunked = (
        runner(
            open_session(path, options=options_of(threads=request["threads"]), provider=provider),
            feeds,
            provider,
        )
        for path in request["paths"]
    )
    for once in (baseline, chunked):
        once()
        once()  # the second run is the first one in the block that the memory pattern asks for
    swapped = bool(request["swapped"])
    return {
        "pairs": [
            _pair(baseline, chunked, swapped=(at % 2 == 1) != swapped) for at in range(request["pairs"])
        ]
    }


def is_settled(pairs: Sequence[tuple[float, float]], limit: float | None) -> bool:
    """True when (baseline, chunked) seconds tell on which side of a limit the median ratio lies."""
    if limit is None:
        return True
    above = sum(chunked > limit * baseline for baseline, chunked in pairs)
    below = sum(chunked < limit * baseline for baseline, chunked in pairs)
    return sign_test(above, below) < SIGNIFICANCE


def sign_test(above: int, below: int) -> float:
    """Two-sided probability of a split at least as uneven as this one if both sides were as likely."""
    count = above + below
    tail = sum(comb(count, k) for k in range(min(above, below) + 1))
    return min(1.0, 2 * tail / (1 << count))


def _pair(baseline: Callable[[], None], chunked: Callable[[], None], *, swapped: bool) -> tuple[float, float]:
    """Seconds of each; whichever runs second finds warmer caches, so the order alternates."""
    if swapped:
        second = _elapsed_s(chunked)
        return _elapsed_s(baseline), second
    return _elapsed_s(baseline), _elapsed_s(chunked)


def _elapsed_s(once: Callable[[], None]) -> float:
    time.sleep(SPIN_S)
    start = time.perf_counter()
    once()
    return time.perf_counter() - start
