"""Files that hold no model, or half of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from onnx import ModelProto, TensorProto

from .build import NAME, product, put


def holding(data: bytes, folder: Path) -> None:
    (folder / NAME).write_bytes(data)


def cut(share: float, folder: Path) -> None:
    """The first part of a file."""
    whole = product().SerializeToString()
    holding(whole[: int(share * len(whole))], folder)


def huge(folder: Path) -> None:
    """100 GB that take no disk."""
    with (folder / NAME).open("wb") as file:
        file.truncate(100 * 10**9)


def longer_than_said(folder: Path) -> None:
    """A graph that says it is 2 GB long."""
    holding(b"\x08\x0a\x3a\xff\xff\xff\xff\x07", folder)


def versions(folder: Path, ir_version: int = 10, opset: int | None = 21) -> None:
    proto = product()
    proto.ir_version = ir_version
    del proto.opset_import[:]
    if opset is not None:
        proto.opset_import.add(domain="", version=opset)
    put(folder, proto)


def not_unicode(folder: Path) -> None:
    holding(product().SerializeToString().replace(b"\x01y", b"\x01\xff"), folder)


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (partial(holding, b""), "no graph"),
    "noise": (partial(holding, os.urandom(4096)), "not a readable ONNX model"),
    "zeros": (partial(holding, bytes(1 << 20)), "not a readable ONNX model"),
    "text": (partial(holding, b"version https://git-lfs.github.com/spec/v1"), "not a readable ONNX model"),
    "half a model": (partial(cut, 0.5), "not a readable ONNX model"),
    "a model but for its end": (partial(cut, 0.99), "not a readable ONNX model"),
    "100 GB": (huge, "GB"),
    "a length beyond the end": (longer_than_said, "not a readable ONNX model"),
    "a pipe": (lambda folder: os.mkfifo(folder / NAME), "regular file"),
    "a tensor": (
        lambda folder: holding(TensorProto(name="t", dims=[4]).SerializeToString(), folder), "not a readable",
    ),
    "a model without a graph": (lambda folder: put(folder, ModelProto(ir_version=10)), "no graph"),
    "no opset": (partial(versions, opset=None), "opset"),
    "an opset of the future": (partial(versions, opset=9999), "9999"),
    "an opset below zero": (partial(versions, opset=-1), "-1"),
    "a name that is not Unicode": (not_unicode, ""),
}  # fmt: skip
