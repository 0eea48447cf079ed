"""Weights that lie where a model must not reach, or are not what the model says."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from onnx import TensorProto, helper

from .build import WEIGHT, model, product, put

DATA = "w.data"


def _external(location: str, *, dims: Sequence[int] = (4, 4), **places: object) -> TensorProto:
    """The weight `w`, said to lie in a file."""
    tensor = TensorProto(name="w", dims=dims, data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **places}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def at(location: str, folder: Path, *, dims: Sequence[int] = (4, 4), **places: object) -> None:
    """A model whose weight is said to be at a place; the file `w.data` is right."""
    (folder / DATA).write_bytes(WEIGHT.tobytes())
    _put(folder, _external(location, dims=dims, **places))


def _put(folder: Path, tensor: TensorProto) -> None:
    proto = product()
    proto.graph.initializer[0].CopyFrom(tensor)
    put(folder, proto)


def made(make: Callable[[Path], object], folder: Path, location: str = DATA) -> None:
    """A model whose weight's file is made by a function."""
    make(folder)
    _put(folder, _external(location))


def outside(folder: Path) -> Path:
    """What must not be read: a file beside the folder."""
    secret = folder.parent / f"{folder.name}.secret"
    secret.write_bytes(WEIGHT.tobytes())
    return secret


def climbing(folder: Path) -> None:
    _put(folder, _external(f"../{outside(folder).name}"))


def symbolic(folder: Path) -> None:
    (folder / DATA).symlink_to(outside(folder))


def symbolic_inside(folder: Path) -> None:
    (folder / "real.data").write_bytes(WEIGHT.tobytes())
    (folder / DATA).symlink_to("real.data")


def hard(folder: Path) -> None:
    (folder / DATA).hardlink_to(outside(folder))


def linked_folder(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "real" / DATA).write_bytes(WEIGHT.tobytes())
    (folder / "sub").symlink_to("real")


def in_a_body(folder: Path) -> None:
    proto = model("""(float[4,4] x, bool c) => (float[4,4] y) {
        y = If(c) <then_branch = t () => (float[4,4] p) { p = MatMul(x, v) },
                   else_branch = e () => (float[4,4] q) { q = Neg(x) }> }""", v=WEIGHT)  # fmt: skip
    proto.graph.node[0].attribute[0].g.initializer.append(_external(f"../{outside(folder).name}"))
    proto.graph.node[0].attribute[0].g.node[0].input[1] = "w"
    put(folder, proto)


def in_an_attribute(folder: Path) -> None:
    proto = product()
    del proto.graph.initializer[:]
    tensor = _external(str(outside(folder)))
    proto.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=tensor))
    put(folder, proto)


def in_a_function(folder: Path) -> None:
    proto = model("(float[4,4] x) => (float[4,4] y) { y = local.f(x) }")
    nodes = [
        helper.make_node("Constant", [], ["w"], value=_external(f"../{outside(folder).name}")),
        helper.make_node("MatMul", ["a", "w"], ["b"]),
    ]
    proto.functions.append(
        helper.make_function("local", "f", ["a"], ["b"], nodes, [helper.make_opsetid("", 21)])
    )
    put(folder, proto)


def raw(
    folder: Path, data: bytes, dims: tuple[int, ...] = (4, 4), data_type: int = TensorProto.FLOAT
) -> None:
    """A model whose weight is in the file, and wrong."""
    _put(folder, TensorProto(name="w", dims=dims, data_type=data_type, raw_data=data))


def sparse(folder: Path) -> None:
    proto = product()
    weight = proto.graph.initializer.pop()
    values = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [3])
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, list(weight.dims)))
    put(folder, proto)


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "an absolute place": (lambda folder: at(f"{folder}/{DATA}", folder), "absolute"),
    "a device": (partial(at, "/dev/zero"), "absolute"),
    "a place that climbs out": (climbing, "climbs out"),
    "a place that climbs out and comes back": (
        lambda folder: at(f"../{folder.name}/{DATA}", folder),
        "climbs",
    ),
    "a symbolic link": (partial(made, symbolic), "link"),
    "a symbolic link in the folder": (partial(made, symbolic_inside), "link"),
    "a hard link": (partial(made, hard), "link"),
    "a linked folder": (partial(made, linked_folder, location=f"sub/{DATA}"), "link"),
    "a directory": (partial(made, lambda folder: (folder / DATA).mkdir()), "not a regular file"),
    "a pipe": (partial(made, lambda folder: os.mkfifo(folder / DATA)), "not a regular file"),
    "no place": (partial(at, ""), "place"),
    "a place with a zero character": (partial(at, "w\0.data"), "no such file"),
    "an endless name": (partial(at, "w" * 100_000), "no such file"),
    "no such file": (partial(at, "v.data"), "no such file"),
    "an offset beyond the file": (partial(at, DATA, offset=4096), "beyond"),
    "a length beyond the file": (partial(at, DATA, length=4096), "64"),
    "an offset before the file": (partial(at, DATA, offset=-64), "offset"),
    "an offset that is no number": (partial(at, DATA, offset="far"), "far"),
    "an absurd offset": (partial(at, DATA, offset=1 << 80), "beyond"),
    "a length that is not the tensor's": (partial(at, DATA, length=16), "16"),
    "more elements than the file": (partial(at, DATA, dims=(1 << 31, 1 << 31)), "beyond"),
    "external in a body": (in_a_body, "climbs"),
    "external in an attribute": (in_an_attribute, "absolute"),
    "external in a function": (in_a_function, "climbs"),
    "too few elements": (lambda folder: raw(folder, b"\0" * 60), "60 bytes"),
    "too many elements": (lambda folder: raw(folder, b"\0" * 68), "68 bytes"),
    "no elements at all": (lambda folder: raw(folder, b"", (1 << 31, 1 << 31)), "0 bytes"),
    "sizes that overflow": (lambda folder: raw(folder, b"", (1 << 32, 1 << 32)), "0 bytes"),
    "a negative size": (lambda folder: raw(folder, b"\0" * 64, (-4, -4)), "-4"),
    "an unknown element type": (lambda folder: raw(folder, b"\0" * 64, data_type=999), "999"),
    "a sparse weight": (sparse, "sparse"),
}
