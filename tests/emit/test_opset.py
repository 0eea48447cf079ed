"""Which models may be raised to the opset that sweeps need."""

from __future__ import annotations

from itertools import pairwise

import onnx
import onnx_ir as ir
import pytest

from onnx_autochunk.emit.opset import CHANGED, OLDEST, opset_obstacle, raise_opset
from onnx_autochunk.emit.sweep import SWEEP_OPSET
from onnx_autochunk.emit.weave import usable_forms
from onnx_autochunk.errors import UsageError
from onnx_autochunk.graph.load import load
from onnx_autochunk.options import Form, Options

PLAIN = "(float[4] x) => (float[4] y) { y = Relu(x) }"
SPLIT = "(float[4] x) => (float[2] y, float[2] z) { y, z = Split(x) }"
HALVES = "(float[4] x) => (float[2] y, float[2] z) { y, z = Split<num_outputs=2>(x) }"
NORM = """(float[1,4,2] x, float[2] g) => (float[1,4,2] y) {
    y = GroupNormalization<num_groups=2>(x, g, g)
}"""
INNER = """(bool c, float[4] x) => (float[4] y) {
    y = If(c) <
        then_branch = t () => (float[2] p) { p, q = Split(x) },
        else_branch = e () => (float[2] r) { r = Relu(x) }
    >
}"""


POOLED = "(float[1,4,8,8] x) => (float[1,4,8,8] y) { y = MaxPool<kernel_shape=[1,1]>(x) }"


def _parsed(text: str, opset: int) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> g {text}')


def _model(text: str, opset: int) -> ir.Model:
    return ir.from_proto(_parsed(text, opset))


OBSTACLES = {
    (PLAIN, 13): None,
    (PLAIN, 12): "opset 12 is older than 13",
    (PLAIN, 24): None,
    (PLAIN, 25): None,
    (SPLIT, 13): "Split",
    (HALVES, 18): None,
    (NORM, 18): "GroupNormalization",
    (NORM, 21): None,
    (INNER, 17): "Split",
}


@pytest.mark.parametrize(("text", "opset", "obstacle"), [(*key, found) for key, found in OBSTACLES.items()])
def test_a_model_is_raised_unless_an_operator_changed(text: str, opset: int, obstacle: str | None) -> None:
    model = _model(text, opset)
    found = opset_obstacle(model, SWEEP_OPSET)
    if obstacle is None:
        assert found is None
        raise_opset(model, SWEEP_OPSET)
        assert model.opset_imports[""] == max(opset, SWEEP_OPSET)
        assert model.ir_version == (10 if opset < SWEEP_OPSET else 8)
        onnx.checker.check_model(ir.to_proto(model), full_check=True)
    else:
        assert found is not None and obstacle in found
        with pytest.raises(UsageError, match=r"choose --form scan or unroll"):
            raise_opset(model, SWEEP_OPSET)
        assert model.opset_imports[""] == opset


FORMS = {
    (PLAIN, 20, Form.AUTO, None): (Form.SCAN, Form.SWEEP, Form.UNROLL),
    (PLAIN, 20, Form.AUTO, 24): (Form.SCAN, Form.SWEEP, Form.UNROLL),
    (PLAIN, 20, Form.AUTO, 23): (Form.SCAN, Form.UNROLL),
    (PLAIN, 24, Form.AUTO, 20): (Form.SCAN, Form.SWEEP, Form.UNROLL),
    (NORM, 20, Form.AUTO, None): (Form.SCAN, Form.UNROLL),
    (PLAIN, 20, Form.SWEEP, None): (Form.SWEEP,),
    (PLAIN, 20, Form.SWEEP, 23): "needs opset 24, above --max-opset 23",
    (NORM, 20, Form.SWEEP, None): "GroupNormalization",
    (NORM, 20, Form.UNROLL, None): (Form.UNROLL,),
}


@pytest.mark.parametrize(("case", "forms"), FORMS.items())
def test_forms_that_may_be_used(
    case: tuple[str, int, Form, int | None], forms: tuple[Form, ...] | str
) -> None:
    text, opset, form, limit = case
    options = Options(form=form, max_opset=limit)
    if isinstance(forms, tuple):
        assert usable_forms(load(_parsed(text, opset)), options) == forms
    else:
        with pytest.raises(UsageError, match=forms):
            usable_forms(load(_parsed(text, opset)), options)


def test_opsets_are_not_raised_where_an_operator_would_lose_its_cuda_kernel() -> None:
    loaded = load(_parsed(POOLED, 20))
    assert Form.SWEEP in usable_forms(loaded, Options())
    assert usable_forms(loaded, Options(provider="cuda")) == (Form.SCAN, Form.UNROLL)
    assert Form.SWEEP in usable_forms(load(_parsed(PLAIN, 20)), Options(provider="cuda"))
    with pytest.raises(UsageError, match=r"MaxPool.*would lose its CUDA kernel with opset 24"):
        usable_forms(loaded, Options(provider="cuda", form=Form.SWEEP))


def _incompatible() -> set[tuple[str, int]]:
    """Operators whose signature changed so that an older node cannot be read as a newer one."""
    history: dict[str, list[onnx.defs.OpSchema]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if not schema.domain:
            history.setdefault(schema.name, []).append(schema)
    found = set()
    for name, schemas in history.items():
        schemas.sort(key=lambda schema: schema.since_version)
        for old, new in pairwise(schemas):
            if OLDEST < new.since_version <= SWEEP_OPSET and not _reads_the_same(old, new):
                found.add((name, new.since_version))
    return found


def _reads_the_same(old: onnx.defs.OpSchema, new: onnx.defs.OpSchema) -> bool:
    kept = all(name in new.attributes for name in old.attributes)
    same = kept and all(
        attribute.default_value == new.attributes[name].default_value
        for name, attribute in old.attributes.items()
    )
    return same and new.min_input <= old.min_input and len(new.inputs) >= len(old.inputs)


def test_every_operator_whose_signature_changed_is_listed() -> None:
    assert _incompatible() <= {(name, version) for name, versions in CHANGED.items() for version in versions}
