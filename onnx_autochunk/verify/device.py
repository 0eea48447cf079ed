"""What a model takes of a GPU's memory: what its arena handed out, and what it took from the device.

Both are asked for, because builds of ONNX Runtime differ in what they tell, and because an arena that cannot
join what it asked for separately takes more than it hands out. Inputs and outputs stay on the device.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..runtime import device, launch
from ..runtime.launch import Json
from ..runtime.session import PROVIDERS, open_session, runner, session_options, start_library
from ..runtime.trace import read_trace
from .arrays import Array, load_arrays, save_arrays

APART = "session.use_device_allocator_for_initializers"  # weights beside the arena, which holds activations
RUNS = 2  # kernels choose their algorithms in the first


@dataclass(frozen=True, slots=True)
class DevicePeak:
    """Memory of one model on one device; None where this system or this ONNX Runtime does not tell.

    Attributes:
        in_use_bytes: the most that the arena had handed out at one time: activations and outputs.
        held_bytes: what the runs took from the device and the arena keeps: at least as much.
        resident_bytes: what loading took from the device.
        load_s: time to load.
    """

    in_use_bytes: int | None
    held_bytes: int | None
    resident_bytes: int | None
    load_s: float

    @property
    def bytes(self) -> int | None:
        """The better of what is known."""
        return self.held_bytes if self.in_use_bytes is None else self.in_use_bytes


def measure_device(
    path: str | os.PathLike[str],
    inputs: Mapping[str, Array],
    *,
    provider: str = "cuda",
    threads: int | None = None,
    timeout_s: float | None = None,
) -> DevicePeak:
    """Run a model twice in a child process and read its memory.

    Args:
        path: the ONNX file.
        inputs: arrays by input name; they are not counted.
        provider: "cuda"; "cpu" tells what the arena handed out alone.
        threads: threads within an operator on the CPU; None or 0 leaves the number to ONNX Runtime.
        timeout_s: for the child.

    Raises:
        ModelError: ONNX Runtime does not accept the model.
        UsageError: the provider cannot be used here.
        ChildError: the run failed, was killed or took too long.
    """
    with tempfile.TemporaryDirectory(prefix="onnx_autochunk-") as folder:
        save_arrays(Path(folder) / "inputs", inputs)
        request = {
            "path": str(Path(path).absolute()), "folder": folder, "provider": provider, "threads": threads,
        }  # fmt: skip
        return DevicePeak(**launch.call(_peak, request, timeout_s=timeout_s))


def _peak(request: Json) -> Json:
    """Runs in the child."""
    folder, provider = Path(request["folder"]), request["provider"]
    feeds = load_arrays(folder / "inputs")
    options = session_options(threads=request["threads"])
    options.add_session_config_entry(APART, "1")
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    start_library(provider)
    before, start = _taken(provider), time.perf_counter()
    session = open_session(request["path"], options=options, provider=provider)
    load_s, loaded = time.perf_counter() - start, _taken(provider)
    once = runner(session, feeds, provider)
    fed = _taken(provider)
    for _ in range(RUNS):
        once()
    after = _taken(provider)
    peaks = read_trace(Path(session.end_profiling())).peak_bytes
    return {
        "in_use_bytes": peaks.get(PROVIDERS[provider][0]),
        "held_bytes": _between(fed, after),
        "resident_bytes": _between(before, loaded),
        "load_s": load_s,
    }


def _taken(provider: str) -> int | None:
    """Bytes of the device that are not free."""
    memory = device.memory_bytes() if provider == "cuda" else None
    return None if memory is None else memory[1] - memory[0]


def _between(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else max(0, after - before)
