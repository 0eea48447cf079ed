"""The ONNX project's own node tests, run through the oracle."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import onnx
from onnx import helper

from onnx_autochunk.axes.registry import registered
from tests.axes.oracle import Array, Case, assert_step, flows, rule_of, runner

SMALL = 16
# no kernel for them anywhere, or an evaluator's warning
NOT_RUN = """
    test_attention_4d_diff_heads_mask4d_padded_kv test_convinteger_with_padding test_reduce_max_empty_set_bool
    test_mod_float_edge_cases_fmod_0_float16 test_mod_float_edge_cases_fmod_0_float32
    test_mod_float_edge_cases_fmod_0_float64 test_split_to_sequence_2
""".split()


def _cases() -> Iterator[tuple[str, Case]]:
    """Single calls of ruled operators on plain tensors; every small operand is known to the rule."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases  # noqa: PLC0415  computes 1,900 cases

        found = collect_testcases("")
    for test in found:
        assert test.model is not None
        nodes = test.model.graph.node
        if len(nodes) == 1 and test.data_sets and ("", nodes[0].op_type) in registered():
            case = _case(test.model, test.data_sets[0][0])
            if case is not None:
                yield test.name, case


def _case(model: onnx.ModelProto, fed: Sequence[object]) -> Case | None:
    node = model.graph.node[0]
    arrays = dict(zip((value.name for value in model.graph.input), map(_plain, fed), strict=True))
    if node.domain or any(a is None for a in arrays.values()):
        return None
    operands = tuple(arrays[name] if name else None for name in node.input)
    known = frozenset(i for i, a in enumerate(operands) if a is not None and a.size <= SMALL)
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    used = "".join("1" if name else "0" for name in node.output)
    opset = next(entry.version for entry in model.opset_import if not entry.domain)
    return Case(node.op_type, operands, known, attributes, used, opset)


def _plain(fed: object) -> Array | None:
    """The operand as an array; None for sequences and the types that numpy itself lacks."""
    array = np.asarray(fed) if isinstance(fed, np.ndarray | np.generic) else None
    return array if array is not None and array.dtype.isbuiltin == 1 else None


def test_every_flow_through_the_projects_own_cases() -> None:
    wrong, proved = [], 0
    for name, case in _cases():
        run = runner(case)
        try:
            whole = run(case.operands)
        except Exception:
            if name in NOT_RUN:
                continue
            raise
        rule = rule_of(case, whole)
        for step in flows(rule):
            proved += 1
            try:
                assert_step(case, run, rule, step, whole)
            except Exception as error:
                wrong.append(f"{name}: {step}: {error}")
    assert wrong == []
    assert proved > 2000
