"""Named arrays in a folder, one .npy file each: how tensors of any size pass between processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.session import element_code, element_dtype

Array = NDArray[Any]

MANIFEST = "manifest.json"


def save_arrays(folder: Path, arrays: Mapping[str, Array]) -> None:
    """Write the arrays into a new folder."""
    folder.mkdir(parents=True)
    for index, array in enumerate(arrays.values()):
        np.save(folder / f"{index}.npy", _storable(array))
    types = {name: element_code(array.dtype) for name, array in arrays.items()}
    (folder / MANIFEST).write_text(json.dumps(types), encoding="utf-8")


def load_arrays(folder: Path, *, mapped: bool = False) -> dict[str, Array]:
    """Read what `save_arrays` wrote.

    Args:
        folder: the folder.
        mapped: map the files instead of reading them, so that large arrays take no memory.
    """
    types: dict[str, int] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    stored = (np.load(folder / f"{i}.npy", mmap_mode="r" if mapped else None) for i in range(len(types)))
    return {
        name: _restored(array, element_dtype(code))
        for (name, code), array in zip(types.items(), stored, strict=True)
    }


def _storable(array: Array) -> Array:
    """The array in a type that the format knows: bits for bfloat16 and float8, fixed width for strings."""
    if array.dtype.kind == "O":
        return array.astype(np.str_)
    return array if array.dtype.isbuiltin == 1 else array.view(f"u{array.dtype.itemsize}")


def _restored(array: Array, dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "O":
        return array.astype(object)
    return array if dtype == array.dtype else array.view(dtype)
