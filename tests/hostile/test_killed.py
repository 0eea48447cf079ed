"""A process that is killed while it saves leaves the old file or the new one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from itertools import count
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.save import save

from .build import model

SIDE = 1024  # of the weight: 4 MiB take long enough to be killed in
CALLS = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir")  # what Python tells of the file system
PROCESSES = multiprocessing.get_context("forkserver")


def _product(fill: float) -> onnx.ModelProto:
    weight = np.full((SIDE, SIDE), fill, np.float32)
    return model(f"(float[{SIDE},{SIDE}] x) => (float[{SIDE},{SIDE}] y) {{ y = MatMul(x, w) }}", w=weight)


def _weight(path: Path) -> float:
    """The one number that the weight is filled with."""
    weight = onnx.numpy_helper.to_array(onnx.load(path).graph.initializer[0])
    assert (weight == weight[0, 0]).all()
    return float(weight[0, 0])


def _save_for_ever(path: Path) -> None:
    models = [load(_product(fill)).model for fill in (1, 2)]
    while True:
        for one in models:
            save(one, path)


def test_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    save(load(_product(1)).model, path)
    left = 0
    for moment in range(12):
        process = PROCESSES.Process(target=_save_for_ever, args=(path,))
        process.start()
        before = path.stat().st_mtime_ns
        while path.stat().st_mtime_ns == before:  # until it saves at all
            time.sleep(0.001)
        time.sleep(0.001 * moment)
        process.kill()
        process.join()
        assert _weight(path) in (1, 2)
        names = {found.name for found in tmp_path.iterdir()}
        assert names <= {"m.onnx", ".m.onnx.unfinished"}
        left += len(names) - 1
    assert left, "no process was killed while it wrote"
    save(load(_product(1)).model, path)
    assert [found.name for found in tmp_path.iterdir()] == ["m.onnx"]


def _save_until(path: Path, calls: int) -> None:
    """Save, and be killed at a call that reaches the file system."""
    left, one = count(calls, -1), load(_product(2)).model

    def kill(event: str, _: tuple[object, ...]) -> None:
        if event in CALLS and not next(left):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(kill)
    save(one, path, external=True)


def test_weights_beside_a_model_are_those_of_the_old_one_or_of_the_new_one(tmp_path: Path) -> None:
    path, found = tmp_path / "m.onnx", list[float]()
    for calls in count():
        save(load(_product(1)).model, path, external=True)
        assert len(list(tmp_path.iterdir())) == 2, "whatever was left before is gone"
        process = PROCESSES.Process(target=_save_until, args=(path, calls))
        process.start()
        process.join()
        found.append(_weight(path))
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert found == sorted(found)
    assert found.count(1) > 2 and found.count(2) > 2


@pytest.mark.parametrize("external", [False, True])
def test_what_a_killed_process_left_is_overwritten(external: bool, tmp_path: Path) -> None:
    folder = tmp_path / ".m.onnx.unfinished"
    folder.mkdir()
    (folder / "m.onnx").write_bytes(b"half")
    (folder / "m.onnx.data").write_bytes(b"half")
    save(load(_product(1)).model, tmp_path / "m.onnx", external=external)
    assert not folder.exists()
    assert load(tmp_path / "m.onnx").graph.weights_bytes == 4 * SIDE * SIDE
