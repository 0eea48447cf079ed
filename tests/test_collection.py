"""Garbage collection is put off, and comes back as it was."""

from __future__ import annotations

import gc

import pytest

from onnx_autochunk.collection import collection_put_off, spare


@pytest.mark.parametrize("enabled", [True, False])
def test_collection_comes_back_as_it_was(enabled: bool) -> None:
    try:
        (gc.enable if enabled else gc.disable)()
        with collection_put_off(), collection_put_off():
            assert not gc.isenabled()
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


def test_what_is_spared_is_collected_again_behind_the_context() -> None:
    with collection_put_off():
        spare()
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0
    try:
        gc.freeze()  # by the user
        with collection_put_off():
            spare()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
