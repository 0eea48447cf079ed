from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from onnx_autochunk.errors import ModelError, UsageError
from onnx_autochunk.verify.inputs import load_inputs, random_inputs, read_specs
from tests.runtime.small_models import save

TABLE = {"table": (10, 4)}


IN_BRANCH = """
    y = If (m) <
        then_branch = t () => (a) { a = Gather(table, ids) },
        else_branch = e () => (b) { b = Identity(table) }>
"""
IN_LOOP = """
    y = Loop (m, m, ids) <
        body = b (i, c, v) => (d, w) { d = Identity(c)\n w = Identity(v)\n h = Gather(table, v) }>
"""


@pytest.mark.parametrize(
    ("body", "bound"),
    [
        ("y = Gather(table, ids)", 10),
        ("y = Gather <axis = 1> (table, ids)", 4),
        ("y = Gather <axis = -1> (table, ids)", 4),
        ("w = Cast <to = 6> (ids)\n s = Shape(ids)\n r = Reshape(w, s)\n y = Gather(table, r)", 10),
        ("o = Constant <value = int64[1] {0}> ()\n u = Unsqueeze(ids, o)\n y = Gather(table, u)", 10),
        ("a = Gather(table, ids)\n t = Transpose(table)\n y = Gather(t, ids)", 4),  # the smaller table
        ("two = Constant <value = int64 {2}> ()\n p = Add(ids, two)\n y = Gather(table, p)", 8),
        ("two = Constant <value_int = 2> ()\n p = Sub(ids, two)\n y = Gather(table, p)", 12),
        ("z = Constant <value_int = 0> ()\n w = Where(m, z, ids)\n y = Gather(table, w)", 10),
        ("t = Unsqueeze(ids, m)\n y = GatherElements <axis = 1> (table, t)", 4),
        (IN_BRANCH, 10),  # captured by name
        (IN_LOOP, 10),  # carried, under another name
        ("y = Cast <to = 1> (ids)", 2),  # a mask: indexes nothing
        ("e = Equal(ids, ids)\n f = Cast <to = 7> (e)\n y = Gather(table, f)", 2),  # not the elements of ids
    ],
)
def test_bound(tmp_path: Path, body: str, bound: int) -> None:
    path = save(tmp_path, "m", f"g (int64[1, S] ids) => (float y) {{ {body} }}", **TABLE)
    (spec,) = read_specs(path, dims={"S": 6})
    assert (spec.name, spec.shape, spec.bound) == ("ids", (1, 6), bound)


def test_random_inputs_are_seeded_and_make_sense(tmp_path: Path) -> None:
    text = (
        "g (int64[B, S] ids, int64[B, S] mask, bool[S] keep, float16[B, 3] x, bfloat16[2] z, uint8[4] u)"
        " => (float[B, S, 4] y) { y = Gather(table, ids) }"
    )
    specs = read_specs(save(tmp_path, "m", text, **TABLE), dims={"B": 2, "S": 200})
    first, again, other = (random_inputs(specs, seed=seed) for seed in (1, 1, 2))
    assert {name: (str(a.dtype), a.shape) for name, a in first.items()} == {
        "ids": ("int64", (2, 200)),
        "mask": ("int64", (2, 200)),
        "keep": ("bool", (200,)),
        "x": ("float16", (2, 3)),
        "z": ("bfloat16", (2,)),
        "u": ("uint8", (4,)),
    }
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["ids"], other["ids"])
    assert set(np.unique(first["ids"])) == set(range(10))
    assert set(np.unique(first["mask"])) == {0, 1}
    assert first["mask"][:, 0].all()
    assert first["z"].dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize(
    ("inputs", "pattern"),
    [
        ("float[1, S] x", r"x float32\[1, S\]: the size of 'S' is not given; add --dim S=SIZE"),
        ("string[2] x", r"x object\[2\]: strings cannot be made up; give the inputs with --input-data"),
    ],
)
def test_what_cannot_be_made_up(tmp_path: Path, inputs: str, pattern: str) -> None:
    specs = read_specs(save(tmp_path, "m", f"g ({inputs}) => (float y) {{ y = Identity(x) }}"))
    with pytest.raises(UsageError, match=pattern):
        random_inputs(specs, seed=0)


def test_shapes_go_before_dims(tmp_path: Path) -> None:
    path = save(tmp_path, "m", "g (float[1, S] x) => (float[1, S] y) { y = Neg(x) }")
    assert read_specs(path, dims={"S": 2}, shapes={"x": (1, 7)})[0].shape == (1, 7)


@pytest.mark.parametrize("content", [None, b"no model"])
def test_unreadable_model(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.onnx: cannot be read as an ONNX model"):
        read_specs(path)


A, B = np.zeros((2, 5), np.float32), np.zeros(5, np.int64)


@pytest.mark.parametrize(
    ("arrays", "pattern"),
    [
        ({"a": A, "b": B}, None),
        ({"a": A}, r"there is no array for input 'b'; the model expects a float32\[2, S\], b int64\[S\]"),
        ({"a": A, "b": B, "c": B}, r"the model has no input 'c'"),
        ({"a": A.astype(np.float64), "b": B}, r"expects a float32\[2, S\], the file has float64\[2, 5\]"),
        ({"a": A[:1], "b": B}, r"expects a float32\[2, S\], the file has float32\[1, 5\]"),
        ({"a": A[0], "b": B}, r"expects a float32\[2, S\], the file has float32\[5\]"),
        ({"a": A, "b": B[:4]}, r"expects b int64\[S\], the file has int64\[4\]; S is 5 in another input"),
    ],
)
def test_input_data(tmp_path: Path, arrays: dict[str, Any], pattern: str | None) -> None:
    text = "g (float[2, S] a, int64[S] b) => (float[2, S] y) { y = Neg(a) }"
    specs = read_specs(save(tmp_path, "m", text))
    np.savez(tmp_path / "x.npz", **arrays)
    if pattern is None:
        loaded = load_inputs(tmp_path / "x.npz", specs)
        assert all(np.array_equal(loaded[name], array) for name, array in arrays.items())
    else:
        with pytest.raises(UsageError, match=pattern):
            load_inputs(tmp_path / "x.npz", specs)


def test_input_data_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"text")
    with pytest.raises(UsageError, match=r"x\.npz: cannot be read as an \.npz file"):
        load_inputs(tmp_path / "x.npz", ())
