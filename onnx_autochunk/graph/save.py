"""IR -> file, all or nothing: written beside its place under another name, then renamed.

Weights of a large model go into one file `<out>.data` beside it, which is renamed first.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import onnx_ir as ir

from ..errors import AutochunkError

PROTOBUF_LIMIT_BYTES = 2_000_000_000  # a protobuf message ends at 2 GiB; leave room for the graph itself


def save(
    model: ir.Model, path: str | os.PathLike[str], *, external: bool = False, threshold_bytes: int = 1024
) -> None:
    """Write a model so that `path` holds the old file or the new one, never half.

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
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            if external or weights > PROTOBUF_LIMIT_BYTES or has_external(model):
                _save_external(model, Path(folder), target, threshold_bytes)
            else:
                _save_whole(model, Path(folder), target)
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
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            shutil.copyfile(source, Path(folder) / target.name).replace(target)
    except OSError as error:
        raise AutochunkError(
            f"{target}: cannot write: {error.strerror or error}; nothing was changed"
        ) from error


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
    data = f"{target.name}.data"
    ir.save(model, folder / target.name, external_data=data, size_threshold_bytes=threshold_bytes)
    if (folder / data).exists():
        (folder / data).replace(target.with_name(data))
    (folder / target.name).replace(target)
