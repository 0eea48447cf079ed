"""Measures what ONNX Runtime's kernels cost here and writes `onnx_autochunk/cost/profiles/cpu.json`.

`python -m tools.calibrate --alone`, on a machine that does nothing else, takes about two minutes. Each case
runs in short bursts, in many rounds over all cases, and its fastest run counts, on all threads by the clock
on the wall.

Without `--alone` other work shows less: each case runs on one thread and is timed by that thread's own clock,
which stops while something else has the core, and an op that hands work to other threads is taken to be that
many times as fast. What others do to the caches still shows: data beyond the second level then looks up to
three times as dear as it is. And threads do not share out memory bandwidth as they do arithmetic.

`--again` adds a call to the one before on the same machine: of each case the faster time counts, and for what
threads hand over to each other the slower one.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from math import prod
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import onnx

from onnx_autochunk.cost.cases import cases
from onnx_autochunk.cost.constants import SCHEMA, Constants, Holding, Overhead, read_profile, to_json
from onnx_autochunk.cost.fit import fit
from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.cost.points import Point, from_json
from onnx_autochunk.cost.points import to_json as point_to_json
from onnx_autochunk.cost.prices import ITEM_BYTES, multiply
from onnx_autochunk.cost.products import PLAIN, Product
from onnx_autochunk.runtime.library import onnxruntime
from onnx_autochunk.runtime.session import default_options, open_session, runner
from onnx_autochunk.verify.measure import measure_peak
from tools.calibration_models import (
    COPY_NODES,
    LAYERS,
    SCORES,
    SCORES_DEPTH,
    SOFTMAX_COLUMNS,
    SOFTMAX_ROWS,
    chain_model,
    framed,
    numbers,
    point_model,
    repeats,
    scan_model,
    scans,
    scores_model,
    softmax_model,
    unrolled_model,
    written_out,
)

Run = Callable[[], Any]
Build = Callable[[], onnx.ModelProto]
PROFILES = Path(__file__).parents[1] / "onnx_autochunk" / "cost" / "profiles"
BURST_S, BURST_RUNS = 0.004, 6  # both at the least: the first runs still move memory about
SPIN_S = 0.015  # so long the threads of the session before keep a core busy, waiting for more work
TOGETHER = 60  # cases that are in memory at the same time
LONG_S = 0.005  # long enough for every thread to get its part of a call, whatever else is running
HELPED_S = 0.2
MASKED_SHARE = 0.5
ROUNDS, ROUND_RUNS = 60, 50
SCORES_BYTES = ITEM_BYTES * prod(SCORES)
WIDTHS = (64, 512)  # of the rows of bodies that are loaded many times
COPIES = (4, 132)  # of them: few and many
FORMS = ("unroll", "sweep", "scan", "loop")


def main() -> None:
    """Calibrate, write the profile, print how well the model agrees with what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2, help="threads that the profile is for (default: 2)")
    parser.add_argument("--alone", action="store_true", help="nothing else runs: measure with all threads")
    parser.add_argument("--seconds", type=float, default=100, help="time to measure for (default: 100)")
    parser.add_argument("--again", action="store_true", help="keep the times of the profile that are faster")
    args = parser.parse_args()
    before = read_profile("cpu") if args.again else None
    known = [from_json(row) for row in before["points"]] if before else []
    with tempfile.TemporaryDirectory() as folder:
        points, constants = calibrate(Path(folder), args.threads, args.seconds, known, alone=args.alone)
    if before:
        slower_s = max(constants.handover_s, before["constants"]["handover_s"])
        constants = replace(constants, handover_s=slower_s)
    meta = {"schema": SCHEMA, "onnxruntime": onnxruntime().__version__}
    profile = meta | to_json(constants) | {"points": [point_to_json(p) for p in points]}
    (PROFILES / f"{constants.provider}.json").write_text(_dump(profile), encoding="utf-8")
    _print(points, CostModel(constants))


def calibrate(
    folder: Path, threads: int, limit_s: float, known: Sequence[Point], *, alone: bool
) -> tuple[list[Point], Constants]:
    """Measured points, and the constants that follow from them; of those known before, the faster times."""
    todo = cases()
    used, clock = (threads, time.perf_counter) if alone else (1, time.thread_time)
    options = default_options(threads=used)
    timed = list[float]()
    builds: list[Build] = [*(partial(point_model, point) for point in todo), *_overhead_models()]
    for first in range(0, len(builds), TOGETHER):
        runs = [opened(build(), folder, options) for build in builds[first : first + TOGETHER]]
        timed += fastest(runs, limit_s * len(runs) / len(builds), clock)
    found, (empty, short, long, open_, masked, *repeated) = timed[: len(todo)], timed[len(todo) :]
    dispatch_s = (long - short) / 200
    speedups = {} if alone else _speedups(todo, found, folder, threads)
    points = [
        replace(
            point,
            seconds=_figures(dispatch_s + (seconds - empty) / speedups.get(point.type, 1) / repeats(point)),
        )
        for point, seconds in zip(todo, found, strict=True)
    ]
    before = {str(point): point.seconds for point in known}
    points = [replace(p, seconds=min(p.seconds, before.get(str(p), p.seconds))) for p in points]
    constants = fit(
        points,
        provider="cpu",
        threads=threads,
        dispatch_s=dispatch_s,
        iteration=_iteration(repeated, dispatch_s),
        load=_load(folder),
        resident=_resident(folder),
        masked_s=max(0.0, masked - open_) / (MASKED_SHARE * SOFTMAX_ROWS * SOFTMAX_COLUMNS),
    )
    if alone and (waiting_s := _waiting(folder, threads)):
        constants = replace(constants, handover_s=_product(constants) + waiting_s)
    return points, constants


def _waiting(folder: Path, threads: int) -> float:
    """Seconds on top for each byte of scores that one thread writes and another reads.

    By the rounds in which the cores were farthest apart: the host of a virtual machine moves them about.
    """
    own, others = (
        opened(scores_model(products), folder, default_options(threads=threads)) for products in (threads, 1)
    )
    rounds = [_median(others) - _median(own) for _ in range(ROUNDS)]
    return max(0.0, quantiles(rounds, n=10)[-1]) / SCORES_BYTES


def _product(constants: Constants) -> float:
    """Seconds for each byte of the scores as a product of one's own."""
    return multiply(Product(PLAIN, 1, *SCORES, SCORES_DEPTH), SCORES_BYTES, constants) / SCORES_BYTES


def _median(run: Run) -> float:
    """Seconds of one run, of several in a row."""
    times = list[float]()
    for _ in range(ROUND_RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return median(times)


def _overhead_models() -> Iterator[Build]:
    yield from (partial(chain_model, length) for length in (1, 50, 250))
    yield from (partial(softmax_model, share) for share in (0.0, MASKED_SHARE))
    yield from (partial(scan_model, count, length) for length in (2, 12) for count in (64, 512))
    yield from (partial(unrolled_model, count) for count in (32, 128))


def _speedups(
    points: Sequence[Point], seconds: Sequence[float], folder: Path, threads: int
) -> dict[str, int]:
    """By op type: all threads, or one when the kernel makes no use of more."""
    order = sorted(range(len(points)), key=lambda index: min(seconds[index], LONG_S))
    largest = {points[index].type: points[index] for index in order}
    return {
        type_: threads if _helpers_share(point, folder, threads) > 0.05 else 1
        for type_, point in largest.items()
    }


def _helpers_share(point: Point, folder: Path, threads: int) -> float:
    """Share of the work that threads other than the calling one do, when they sleep while there is none."""
    options = default_options(threads=threads)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    run = opened(point_model(point), folder, options)
    run()
    everyone, caller, end = time.process_time(), time.thread_time(), time.perf_counter() + HELPED_S
    while time.perf_counter() < end:
        run()
    everyone, caller = time.process_time() - everyone, time.thread_time() - caller
    return 1 - caller / everyone


def _iteration(seconds: Sequence[float], dispatch_s: float) -> dict[str, Overhead]:
    """Per iteration, besides the dispatch of the ops in it; what slices and joins move is priced apart."""
    short64, short512, long64, long512, unroll32, unroll128 = seconds
    short, long = (short512 - short64) / 448, (long512 - long64) / 448
    op_s = max(0.0, (long - short) / 10 - dispatch_s)
    scan = Overhead(_figures(max(0.0, short - 2 * (op_s + dispatch_s))), _figures(op_s))
    written = Overhead(_figures(max(0.0, (unroll128 - unroll32) / 96 - 2 * dispatch_s)), 0.0)
    return {"scan": scan, "loop": scan, "unroll": written, "sweep": written}


def _load(folder: Path) -> dict[str, Overhead]:
    """Per copy of a body: optimising its nodes and packing its weights."""
    narrow, wide = (_more(written_out, width, lambda model: _opening(model, folder)) for width in WIDTHS)
    nbytes = 4 * len(LAYERS) * (WIDTHS[1] ** 2 - WIDTHS[0] ** 2)
    copied = Overhead(0.0, _figures(narrow / COPY_NODES), _figures(max(0.0, wide - narrow) / nbytes))
    return dict.fromkeys(FORMS, copied)


def _resident(folder: Path) -> dict[str, Holding]:
    """Per region, and per copy of a body: in a frame, where ONNX Runtime keeps nodes as text too."""
    width = WIDTHS[0]
    plain, inside, looped = (
        _more(build, width, lambda model: _kept(model, folder)) for build in (written_out, framed, scans)
    )
    node = _figures(inside / COPY_NODES)
    scan = Holding(_figures(max(0.0, looped - plain)), node)
    return dict.fromkeys(FORMS, Holding(0.0, node)) | dict.fromkeys(("scan", "loop"), scan)


def _more(
    build: Callable[[int, int], onnx.ModelProto], width: int, of: Callable[[onnx.ModelProto], float]
) -> float:
    """What one more body of this width adds to a figure of a model that has many."""
    few, many = COPIES
    return (of(build(many, width)) - of(build(few, width))) / (many - few)


def _kept(model: onnx.ModelProto, folder: Path) -> float:
    """Bytes resident after loading."""
    path = folder / "kept.onnx"
    onnx.save(model, path)
    inputs = {
        v.name: numbers(tuple(d.dim_value for d in v.type.tensor_type.shape.dim)) for v in model.graph.input
    }
    return measure_peak(path, inputs, threads=1, default_session=False).resident_bytes


def _opening(model: onnx.ModelProto, folder: Path) -> float:
    path = folder / "load.onnx"
    onnx.save(model, path)
    return min(_opening_once(path) for _ in range(4))


def _opening_once(path: Path) -> float:
    before = time.thread_time()
    open_session(path, options=default_options(threads=1))
    return time.thread_time() - before


def opened(model: onnx.ModelProto, folder: Path, options: Any = None) -> Run:
    """A function that runs the model once, on random inputs."""
    path = folder / "case.onnx"
    onnx.save(model, path)
    session = open_session(path, options=options or default_options(threads=1))
    return runner(session, {value.name: numbers(tuple(value.shape)) for value in session.get_inputs()})


def fastest(runs: Sequence[Run], limit_s: float, clock: Callable[[], float]) -> list[float]:
    """Least seconds of each by a clock, over as many rounds as fit the limit, one at least."""
    best = [float("inf")] * len(runs)
    end = time.perf_counter() + limit_s
    while best[-1] == float("inf") or time.perf_counter() < end:
        for index, run in enumerate(runs):
            time.sleep(SPIN_S)
            run()  # brings the data into the cache
            best[index] = min(best[index], _burst(run, clock))
    return best


def _burst(run: Run, clock: Callable[[], float]) -> float:
    best, start = float("inf"), clock()
    for runs in count(1):
        before = clock()
        run()
        after = clock()
        best = min(best, after - before)
        if after - start > BURST_S and runs >= BURST_RUNS:
            break
    return best


def _figures(seconds: float) -> float:
    """Four significant figures: more would only be noise in the file's history."""
    return float(f"{seconds:.4g}")


def _dump(profile: Mapping[str, Any]) -> str:
    """JSON with one line for each point, so that two calibrations can be compared."""
    rows = ",\n".join("  " + json.dumps(row) for row in profile["points"])
    head = json.dumps({key: value for key, value in profile.items() if key != "points"}, indent=1)
    return head.removesuffix("\n}") + ',\n "points": [\n' + rows + "\n ]\n}\n"


def _print(points: Sequence[Point], model: CostModel) -> None:
    for point in points:
        graph = point.graph()
        predicted = model.op_seconds(graph.ops[0], graph, graph.shape)
        print(f"{predicted / point.seconds:5.2f}  {point.seconds * 1e6:9.1f} us  {point}")


if __name__ == "__main__":
    main()
