"""The ONNX project's own node tests, as calls for the oracle."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnx_autochunk.axes.registry import registered
from tests.axes.oracle import OPSET, Array, Case, Run, runner

SMALL = 16
# no kernel for them anywhere, or an evaluator's warning
NOT_RUN = """
    test_attention_4d_diff_heads_mask4d_padded_kv test_convinteger_with_padding test_reduce_max_empty_set_bool
    test_mod_float_edge_cases_fmod_0_float16 test_mod_float_edge_cases_fmod_0_float32
    test_mod_float_edge_cases_fmod_0_float64 test_split_to_sequence_2
""".split()


@dataclass(frozen=True)
class Call:
    """One test of the suite: the op, and what it gives for its operands."""

    name: str
    case: Case
    run: Run
    whole: Sequence[Array]


def calls(left_out: Counter[str]) -> Iterator[Call]:
    """Single calls of registered operators on tensors; every small operand is known to the rule.

    Args:
        left_out: counts the other tests by the reason why the oracle does not take them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases  # noqa: PLC0415  computes 1,900 cases

        found = collect_testcases("")
    for test in found:
        assert test.model is not None
        reason = _left_out(test.name, test.model, test.data_sets)
        if reason:
            left_out[reason] += 1
            continue
        assert test.data_sets is not None
        case = _case(test.model, test.data_sets[0][0])
        run = runner(case)
        try:
            whole = run(case.operands)
        except Exception:
            if test.name not in NOT_RUN:
                raise
            left_out["no kernel"] += 1
        else:
            yield Call(test.name, case, run, whole)


def _left_out(
    name: str, model: onnx.ModelProto, data: Sequence[Sequence[Sequence[object]]] | None
) -> str | None:
    node = model.graph.node[0]
    if "_expanded" in name:
        return "the body of an operator that is a function"
    if (node.domain, node.op_type) not in registered():
        return f"no entry: operators of {node.domain or 'ai.onnx'}"
    if not data or any(_plain(fed) is None for fed in (*data[0][0], *data[0][1])):
        return "sequences, optionals and maps"
    return None


def _case(model: onnx.ModelProto, fed: Sequence[object]) -> Case:
    (node,) = model.graph.node
    arrays = dict(zip((value.name for value in model.graph.input), map(_plain, fed), strict=True))
    operands = tuple(arrays[name] if name else None for name in node.input)
    known = frozenset(i for i, a in enumerate(operands) if a is not None and a.size <= SMALL)
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    used = "".join("1" if name else "0" for name in node.output)
    opset = next((entry.version for entry in model.opset_import if not entry.domain), OPSET)
    return Case(node.op_type, operands, known, attributes, used, opset, node.domain)


def _plain(fed: object) -> Array | None:
    """The operand as an array; None for what is no tensor."""
    if isinstance(fed, onnx.TensorProto):
        return numpy_helper.to_array(fed)
    return np.asarray(fed) if isinstance(fed, np.ndarray | np.generic) else None
