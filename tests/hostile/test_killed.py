"""A process that is killed while it saves leaves the old file or the new one."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.save import save

from .build import model

SIDE = 1024  # of the weight: 4 MiB take long enough to be killed in


def _product(fill: float) -> onnx.ModelProto:
    weight = np.full((SIDE, SIDE), fill, np.float32)
    return model(f"(float[{SIDE},{SIDE}] x) => (float[{SIDE},{SIDE}] y) {{ y = MatMul(x, w) }}", w=weight)


def _save_for_ever(path: Path) -> None:
    models = [load(_product(fill)).model for fill in (1, 2)]
    while True:
        for one in models:
            save(one, path)


def test_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    save(load(_product(1)).model, path)
    processes = multiprocessing.get_context("forkserver")
    left = 0
    for moment in range(12):
        process = processes.Process(target=_save_for_ever, args=(path,))
        process.start()
        before = path.stat().st_mtime_ns
        while path.stat().st_mtime_ns == before:  # until it saves at all
            time.sleep(0.001)
        time.sleep(0.001 * moment)
        process.kill()
        process.join()
        weight = onnx.numpy_helper.to_array(onnx.load(path).graph.initializer[0])
        assert weight[0, 0] in (1, 2) and (weight == weight[0, 0]).all()
        names = {found.name for found in tmp_path.iterdir()}
        assert names <= {"m.onnx", ".m.onnx.unfinished"}
        left += len(names) - 1
    assert left, "no process was killed while it wrote"
    save(load(_product(1)).model, path)
    assert [found.name for found in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("external", [False, True])
def test_what_a_killed_process_left_is_overwritten(external: bool, tmp_path: Path) -> None:
    folder = tmp_path / ".m.onnx.unfinished"
    folder.mkdir()
    (folder / "m.onnx").write_bytes(b"half")
    (folder / "m.onnx.data").write_bytes(b"half")
    save(load(_product(1)).model, tmp_path / "m.onnx", external=external)
    assert not folder.exists()
    assert load(tmp_path / "m.onnx").graph.weights_bytes == 4 * SIDE * SIDE
