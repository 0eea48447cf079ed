from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from onnx_autochunk.verify.arrays import Array, load_arrays, save_arrays

ARRAYS: dict[str, Array] = {
    "plain/name": np.arange(6, dtype=np.float32).reshape(2, 3),
    "scalar": np.array(3, np.int64),
    "empty": np.zeros((0, 4), np.float16),
    "brain": np.array([1.5, -2], ml_dtypes.bfloat16),
    "eight": np.array([1.5, -2], ml_dtypes.float8_e4m3fn),
    "words": np.array(["a", "ünï"], object),
    "mask": np.array([True, False]),
}


@pytest.mark.parametrize("mapped", [False, True])
def test_round_trip(tmp_path: Path, *, mapped: bool) -> None:
    save_arrays(tmp_path / "new", ARRAYS)
    loaded = load_arrays(tmp_path / "new", mapped=mapped)
    assert list(loaded) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert (loaded[name].dtype, loaded[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(loaded[name], array)
