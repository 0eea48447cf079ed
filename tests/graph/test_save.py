"""Files appear whole or not at all, and can be loaded again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, numpy_helper, parser

from onnx_autochunk.errors import AutochunkError
from onnx_autochunk.graph import save as saving
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.save import save, weights_bytes

LARGE = np.arange(1024, dtype=np.float32).reshape(32, 32)
SMALL = np.arange(32, dtype=np.float32)


def model() -> ir.Model:
    text = "(float[32,32] x) => (float[32,32] y) { a = MatMul(x, large) y = Add(a, small) }"
    proto = parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> g {text}')
    tensors = (("large", LARGE), ("small", SMALL))
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in tensors)
    return load(proto).model


def outside(path: Path) -> set[str]:
    """Names of the weights that are not in the file itself."""
    tensors = onnx.load(path, load_external_data=False).graph.initializer
    return {tensor.name for tensor in tensors if tensor.data_location == TensorProto.EXTERNAL}


def weights(path: Path) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


# external, threshold, the protobuf limit, and the weights that then lie outside the file.
PLACES: dict[str, tuple[bool, int, int, set[str]]] = {
    "in the file": (False, 0, 1 << 20, set()),
    "outside on request": (True, 0, 1 << 20, {"large", "small"}),
    "outside from the threshold on": (True, 1024, 1 << 20, {"large"}),
    "outside when the file would be too large": (False, 1024, 2048, {"large"}),
}


@pytest.mark.parametrize(("external", "threshold", "limit", "expected"), PLACES.values(), ids=PLACES)
def test_where_weights_go(
    external: bool,
    threshold: int,
    limit: int,
    expected: set[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(saving, "PROTOBUF_LIMIT_BYTES", limit)
    path = tmp_path / "m.onnx"
    save(model(), path, external=external, threshold_bytes=threshold)
    assert outside(path) == expected
    assert {p.name for p in tmp_path.iterdir()} == ({"m.onnx", "m.onnx.data"} if expected else {"m.onnx"})
    found = weights(path)
    assert np.array_equal(found["large"], LARGE) and np.array_equal(found["small"], SMALL)
    assert [op.type for op in load(path).graph.ops] == ["MatMul", "Add"]


@pytest.mark.parametrize("external", [False, True])
def test_a_model_may_replace_the_file_it_came_from(external: bool, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    save(model(), path, external=external, threshold_bytes=0)
    kept = load(path).model
    for place in (path, tmp_path / "other.onnx", path):  # its weights go with the file that it came from
        save(kept, place, external=external, threshold_bytes=64)
        found = weights(place)
        assert np.array_equal(found["large"], LARGE) and np.array_equal(found["small"], SMALL)


def test_weights_never_take_the_name_of_a_file_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    found = []
    for _ in range(3):
        save(model(), path, external=True, threshold_bytes=0)
        (data,) = {place.name for place in tmp_path.iterdir()} - {"m.onnx"}
        assert np.array_equal(weights(path)["large"], LARGE)
        found.append(data)
    assert found == ["m.onnx.data", "m.onnx.1.data", "m.onnx.data"]


def test_weights_of_other_models_stay(tmp_path: Path) -> None:
    others = {"a.onnx.data", "m.onnx.x.data", "mxonnx.data"}
    for name in others:
        (tmp_path / name).write_bytes(b"weights")
    save(model(), tmp_path / "m.onnx", external=True, threshold_bytes=0)
    assert {place.name for place in tmp_path.iterdir()} == others | {"m.onnx", "m.onnx.data"}


def test_saving_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    kept = model()
    save(kept, tmp_path / "a.onnx", external=True, threshold_bytes=0)
    save(kept, tmp_path / "b.onnx")
    assert outside(tmp_path / "b.onnx") == set()


def test_weights_are_counted() -> None:
    assert weights_bytes(model()) == LARGE.nbytes + SMALL.nbytes


def _full_disk(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    def fail(_model: ir.Model, path: Path, **_kwargs: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ir, "save", fail)


def _no_rename_of_the_model(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    replace = Path.replace

    def fail(source: Path, to: Path) -> Path:
        if to == path:
            raise PermissionError(1, "Operation not permitted", str(to))
        return replace(source, to)

    monkeypatch.setattr(Path, "replace", fail)


def _no_rename(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    def fail(_from: Path, to: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(to))

    monkeypatch.setattr(Path, "replace", fail)


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("breaks", [_full_disk, _no_rename, _no_rename_of_the_model])
def test_a_failed_write_changes_nothing(
    breaks: Callable[[pytest.MonkeyPatch, Path], None],
    external: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"the old file")
    breaks(monkeypatch, path)
    with pytest.raises(AutochunkError, match=r"m\.onnx: cannot write: .*; nothing was changed"):
        save(model(), path, external=external, threshold_bytes=0)
    monkeypatch.undo()
    assert path.read_bytes() == b"the old file"
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("place", ["missing/m.onnx", "folder"])
def test_a_place_that_cannot_be_written_to(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(AutochunkError, match="cannot write"):
        save(model(), tmp_path / place)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
