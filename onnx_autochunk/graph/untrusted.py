"""What a model file may not do: read other files than its own, or hold other bytes than it says.

Weight `w` in `../secret` -> "weight 'w' is in '../secret', which climbs out of the model's folder; ...".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from itertools import chain
from math import prod
from pathlib import Path

import onnx
import onnx_ir as ir

from ..errors import ModelError

MOST_BYTES = (1 << 31) - 1  # of a protobuf message
_BESIDE = "put the file of the weights into the model's folder, and save the model again"
_AGAIN = "the file is damaged or not complete: export or copy it again"


def read(path: Path) -> onnx.ModelProto:
    """The message in a file, whose weights are where and what they may be.

    Raises:
        ModelError: the file is missing, too large, or refused by `check`.
    """
    if not path.is_file():
        raise ModelError(f"{path}: {_what_is(path)}; give the path of an ONNX model")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ModelError(
            f"{path}: {size / 1e9:.1f} GB are no ONNX model, which ends at 2 GiB; give the model, with its "
            "weights in a file beside it"
        )
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf and the file system raise classes without a common base
        raise ModelError(f"{path}: not a readable ONNX model: {error}") from error
    check(proto, path.parent, str(path))
    return proto


def _what_is(path: Path) -> str:
    if path.is_dir():
        return "is a directory, not a file"
    return "not a regular file" if path.exists() else "no such file"


def check(proto: onnx.ModelProto, folder: Path, where: str) -> None:
    """Refuse a message that is no model, or whose weights are elsewhere or something else.

    Args:
        proto: as read, without external data.
        folder: what the places of weights are relative to.
        where: the model, in words.

    Raises:
        ModelError: says which weight, and what to do.
    """
    if not proto.HasField("graph"):
        raise ModelError(f"{where}: not a readable ONNX model: there is no graph in it")
    newest = onnx.defs.onnx_opset_version()
    for entry in proto.opset_import:
        if entry.domain in ("", "ai.onnx") and not 1 <= entry.version <= newest:
            raise ModelError(
                f"{where}: opset {entry.version} is unknown; export the model with opset {newest} or less"
            )
    _check_names(proto.graph, where)
    nodes = chain(proto.graph.node, *(function.node for function in proto.functions))
    for tensor in chain(proto.graph.initializer, _in_nodes(nodes, where)):
        if reason := _refusal(tensor, folder):
            raise ModelError(f"{where}: weight {tensor.name!r} {reason}")


def _check_names(graph: onnx.GraphProto, where: str) -> None:
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        raise ModelError(f"{where}: weight {name!r} is sparse, which is not supported; store it dense")
    for what, values in (("input", graph.input), ("weight", graph.initializer)):
        seen: set[str] = set()
        for value in values:
            if value.name in seen:
                raise ModelError(f"{where}: the graph is not valid: {what} {value.name!r} is there twice")
            seen.add(value.name)


def _in_nodes(nodes: Iterable[onnx.NodeProto], where: str) -> Iterator[onnx.TensorProto]:
    """Tensors in attributes and in bodies."""
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            _check_names(graph, where)
            yield from graph.initializer
            yield from _in_nodes(graph.node, where)


def _refusal(tensor: onnx.TensorProto, folder: Path) -> str:
    """Why a weight is not taken; empty when it is."""
    if min(tensor.dims, default=0) < 0:
        return f"has the sizes {list(tensor.dims)}: {_AGAIN}"
    if tensor.data_type not in _BITS:
        return f"has elements of type {tensor.data_type}, which this version does not know"
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        places = {entry.key: entry.value for entry in tensor.external_data}
        location = places.get("location", "")
        return _place_refused(folder, location) or _range_refused(folder / location, places, _nbytes(tensor))
    if tensor.HasField("raw_data"):
        expected, found, unit = _nbytes(tensor), len(tensor.raw_data), "bytes"
    else:
        field = onnx.helper.tensor_dtype_to_field(tensor.data_type)
        expected, found, unit = _entries(tensor), len(getattr(tensor, field)), "entries"
    return "" if found == expected else f"holds {found} {unit}, its sizes take {expected}: {_AGAIN}"


_NO_NUMBERS = (ir.DataType.UNDEFINED, ir.DataType.STRING)
_BITS: dict[int, int] = {int(kind): kind.bitwidth for kind in ir.DataType if kind not in _NO_NUMBERS}
_BITS[int(ir.DataType.STRING)] = 0  # one entry each, of any length


def _elements(tensor: onnx.TensorProto) -> int:
    return int(prod(tensor.dims))


def _nbytes(tensor: onnx.TensorProto) -> int:
    return (_elements(tensor) * _BITS[tensor.data_type] + 7) // 8


def _entries(tensor: onnx.TensorProto) -> int:
    """Of the field that is not raw: complex numbers take two, several small ones share one."""
    elements, bits = _elements(tensor), _BITS[tensor.data_type]
    if tensor.data_type in (onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128):
        return 2 * elements
    return (elements * bits + 7) // 8 if 0 < bits < 8 else elements


def _place_refused(folder: Path, location: str) -> str:
    """Why a place is not read from; empty when it is a file of the model's own."""
    said = f"is in {location[:200]!r}"
    parts = Path(location).parts
    if not parts:
        return f"is in another file, but no place is given: {_AGAIN}"
    if Path(location).is_absolute():
        return f"{said}, an absolute path, which a model must not read; {_BESIDE}"
    if os.pardir in parts:
        return f"{said}, which climbs out of the model's folder; {_BESIDE}"
    try:
        found = [os.lstat(folder.joinpath(*parts[: end + 1])) for end in range(len(parts))]
    except (OSError, ValueError):  # also a name that is too long, or with a zero character
        return f"{said}: no such file; put it there"
    if any(stat.S_ISLNK(one.st_mode) for one in found) or (
        stat.S_ISREG(found[-1].st_mode) and found[-1].st_nlink > 1
    ):
        return f"{said}, a link, which may lead anywhere; copy the file itself to that place (cp -L)"
    return "" if stat.S_ISREG(found[-1].st_mode) else f"{said}: not a regular file; put the weights there"


def _range_refused(path: Path, places: dict[str, str], nbytes: int) -> str:
    """Why a part of a file is not read; empty when it is there."""
    try:
        offset, length = int(places.get("offset") or 0), int(places.get("length") or nbytes)
    except ValueError:
        return f"has the offset {places.get('offset')!r} and length {places.get('length')!r}: {_AGAIN}"
    if offset < 0 or length != nbytes:
        return f"has the offset {offset} and length {length}, its sizes take {nbytes} bytes: {_AGAIN}"
    size = path.stat().st_size
    end = offset + length
    return "" if end <= size else f"lies beyond the end of {path.name}: at {end} of {size} bytes; {_AGAIN}"
