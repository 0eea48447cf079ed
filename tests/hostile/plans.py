"""Files beside the model: saved plans and inputs."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from .build import product, put

PLAN, INPUT = "plan.json", "x.npz"


def beside(data: bytes, folder: Path, name: str) -> None:
    """A model that is right, and a file."""
    put(folder, product())
    (folder / name).write_bytes(data)


def pickled(folder: Path) -> None:
    """An array of Python objects: reading it would run what it says."""
    put(folder, product())
    np.savez(folder / INPUT, x=np.array([{}], dtype=object))


def large(folder: Path) -> None:
    put(folder, product())
    np.savez_compressed(folder / INPUT, x=np.zeros((5, 4), np.float32))


PLANS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a plan of noise": (partial(beside, b"\xff\xfe{", name=PLAN), "not JSON"),
    "a plan 100 thousand deep": (partial(beside, b"[" * 100_000, name=PLAN), "not JSON"),
    "a plan of nothing": (partial(beside, b"{}", name=PLAN), "no plan"),
    "a plan of other things": (partial(beside, b'{"schema": [], "regions": 7}', name=PLAN), "plan"),
}
INPUTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "inputs of noise": (partial(beside, b"PK\x03\x04", name=INPUT), "npz"),
    "inputs of objects": (pickled, "npz"),
    "a pickle": (partial(beside, pickle.dumps(print), name=INPUT), "npz"),
    "inputs of other sizes": (large, "float32[5, 4]"),
}
