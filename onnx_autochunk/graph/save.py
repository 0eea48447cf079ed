"""IR -> file, all or nothing: written beside its place under another name, then renamed.

Weights of a large model go into one file beside it, `m.onnx.data`; where there is one, which the old model
reads, into `m.onnx.1.data`. So renaming the model's file replaces both at once, and then the old one goes.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import onnx_ir as ir

from ..errors import AutochunkError

PROTOBUF_LIMIT_BYTES = 2_000_000_000  # a protobuf message ends at 2 GiB; leave room for the graph itself


def save(
    model: ir.Model, path: str | os.PathLike[str], *, external: bool = False, threshold_bytes: int = 1024
) -> None:
    """Write a model so that `path` holds the old file or the new one, never half.

    The model stays as it is; written over its own source, it then has its weights from the new file.

    Args:
        model: what to write.
        path: where.
        external: weights in a file of their own, whatever their size.
        threshold_bytes: smallest weight that goes there.

    Raises:
        AutochunkError: the place cannot be written to.
    """
    target = Path(path)
    weights = weights_bytes(model)
    try:
        with _unfinished(target) as folder:
            if external or weights > PROTOBUF_LIMIT_BYTES or has_external(model):
                _save_external(model, folder, target, threshold_bytes)
            else:
                _save_whole(model, folder, target)
    except OSError as error:
        raise AutochunkError(
            f"{target}: cannot write: {error.strerror or error}; nothing was changed"
        ) from error


def copy(source: Path, path: str | os.PathLike[str]) -> None:
    """Copy a model file byte for byte, all or nothing; a file is left alone when it is its own copy.

    Raises:
        AutochunkError: the place cannot be written to.
    """
    target = Path(path)
    if target.exists() and target.samefile(source):
        return
    try:
        with _unfinished(target) as folder:
            shutil.copyfile(source, folder / target.name).replace(target)
    except OSError as error:
        raise AutochunkError(
            f"{target}: cannot write: {error.strerror or error}; nothing was changed"
        ) from error


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A hidden folder beside the target, `.m.onnx.unfinished`; one that a killed process left goes first."""
    folder = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def has_external(model: ir.Model) -> bool:
    """True when a weight lies in a file of its own."""
    return any(isinstance(v.const_value, ir.ExternalTensor) for v in model.graph.initializers.values())


def weights_bytes(model: ir.Model) -> int:
    """Bytes of all initializers of the model's own graph."""
    return sum(t.nbytes for v in model.graph.initializers.values() if (t := v.const_value) is not None)


def _save_whole(model: ir.Model, folder: Path, target: Path) -> None:
    ir.save(model, folder / target.name, external_data=None)
    (folder / target.name).replace(target)


def _save_external(model: ir.Model, folder: Path, target: Path, threshold_bytes: int) -> None:
    old = _data_files(target)
    names = (f"{target.name}.{number}.data" if number else f"{target.name}.data" for number in count())
    data = next(place for name in names if (place := target.with_name(name)) not in old)
    ir.save(model, folder / target.name, external_data=data.name, size_threshold_bytes=threshold_bytes)
    if (folder / data.name).exists():
        (folder / data.name).replace(data)
    try:
        (folder / target.name).replace(target)
    except OSError:
        data.unlink(missing_ok=True)
        raise
    if old:
        _follow(model, {place.resolve() for place in old}, ir.load(target.absolute()))
    for place in old:
        place.unlink(missing_ok=True)


def _follow(model: ir.Model, gone: Collection[Path], written: ir.Model) -> None:
    """Let a model that was written over its own source have the weights of files that go from the new one."""
    for graph, same in zip(model.graphs(), written.graphs(), strict=True):
        for name, value in graph.initializers.items():
            tensor = value.const_value
            if isinstance(tensor, ir.ExternalTensor) and Path(tensor.path).resolve() in gone:
                value.const_value = same.initializers[name].const_value


def _data_files(target: Path) -> list[Path]:
    """Weights of the file that is there, and those that killed processes left."""
    name = re.compile(rf"{re.escape(target.name)}(\.\d+)?\.data")
    return [place for place in target.parent.iterdir() if name.fullmatch(place.name)]
