"""A model on which ONNX Runtime itself crashes: the error says so, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnx_autochunk.errors import ChildError
from onnx_autochunk.runtime import crash
from onnx_autochunk.runtime.crash import explained
from onnx_autochunk.runtime.launch import Function
from tests.runtime import child_functions
from tests.runtime.small_models import save

TEXT = "g (float[4] x) => (float[4] y) { y = Neg(x) }"


@pytest.mark.parametrize(
    ("loading", "said"),
    [
        (child_functions.segfault, r"ONNX Runtime itself does not survive loading.*\(SIGSEGV\)\. Do that$"),
        (child_functions.segfault_with_all_optimizers, r"loads without.*'NchwcTransformer'\]\)\. Do that$"),
        (crash._load, r"^the run was killed$"),
    ],
)
def test_who_is_to_blame(
    loading: Function, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crash, "_load", loading)
    with pytest.raises(ChildError, match=said), explained(save(tmp_path, "model", TEXT), advice="Do that"):
        raise ChildError("the run was killed")


def test_what_succeeds_is_not_loaded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash, "_load", None)
    with explained("unread.onnx"):
        pass
