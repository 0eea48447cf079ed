"""Garbage collection is put off, and comes back as it was."""

from __future__ import annotations

import gc

import pytest

from onnx_autochunk.collection import collection_put_off


@pytest.mark.parametrize("enabled", [True, False])
def test_collection_comes_back_as_it_was(enabled: bool) -> None:
    try:
        (gc.enable if enabled else gc.disable)()
        with collection_put_off(), collection_put_off():
            assert not gc.isenabled()
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
