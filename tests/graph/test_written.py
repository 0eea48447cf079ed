"""What is written out for planning computes the same, and comes back as it was where no plan took it in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from onnx_autochunk.cost.model import CostModel
from onnx_autochunk.emit.weave import weave
from onnx_autochunk.graph import parts
from onnx_autochunk.graph.load import load
from onnx_autochunk.graph.save import save, weights_bytes
from onnx_autochunk.graph.stand_ins import write_out
from onnx_autochunk.options import Form, Options
from onnx_autochunk.plan.plan import Frames, Plan
from onnx_autochunk.plan.planner import make_planner
from tests.emit.regions import Sample, Stretch, check_close, outputs_of, plan_of

COLUMNS = ("0-32", "32-64", "64-96")
QKV = "q, k, v = Split<axis=-1, num_outputs=3>"
READ = "e1 = Exp(q) e2 = Neg(k) e3 = Abs(v) ab = Concat<axis=-1>(e1, e2, e3) y = Tanh(ab)"
Y = "(float[1,7,8] x) => (float[1,7,m] y)"


def sample(
    nodes: str, weights: Mapping[str, Sequence[int]] | None = None, head: str = Y, **integers: Sequence[int]
) -> Sample:
    weights = {"w": (8, 96)} if weights is None else weights
    return Sample(f"{head} {{ {nodes} }}", (), weights, integers, opset=20)


# Models, and the ops that they are planned as.
PARTS: dict[str, tuple[Sample, str]] = {
    "three columns of a product": (sample(f"p = MatMul(x, w) {QKV}(p) {READ}"), "MatMul MatMul MatMul"),
    "behind a bias": (
        sample(f"m = MatMul(x, w) p = Add(b, m) {QKV}(p) {READ}", {"w": (8, 96), "b": (96,)}),
        "MatMul Add MatMul Add MatMul Add",
    ),
    "behind constants that are no columns": (
        sample(
            f"m = MatMul(x, w) n = Mul(m, s) p = Add(n, r) {QKV}(p) {READ}",
            {"w": (8, 96), "s": (), "r": (7, 1)},
        ),
        "MatMul Mul Add MatMul Mul Add MatMul Mul Add",
    ),
    "a transposed weight, a bias of rows, and factors": (
        sample(
            f"p = Gemm<transB=1, alpha=0.5, beta=2.0>(x, w, b) {QKV}(p) {READ}",
            {"w": (96, 8), "b": (1, 96)}, "(float[7,8] x) => (float[7,m] y)",
        ),
        "Gemm Gemm Gemm",
    ),
    "one of which is not read": (
        sample(f"p = MatMul(x, w) {QKV}(p) a = Exp(q) y = Concat<axis=-1>(a, v)"), "MatMul MatMul",
    ),
    "one of which is an output": (
        sample(f"p = MatMul(x, w) {QKV}(p) y = Concat<axis=-1>(q, k)",
               head="(float[1,7,8] x) => (float[1,7,m] y, float[1,7,32] v)"),
        "MatMul MatMul MatMul",
    ),
    "of different widths": (
        sample(
            f"p = MatMul(x, w) q, k, v = Split<axis=2>(p, sizes) {READ}",
            {"w": (8, 101)}, sizes=(36, 33, 32),
        ),
        "MatMul MatMul MatMul",
    ),
    "behind a view of the rows": (
        sample(f"r = Reshape(x, rows) g = Gemm(r, w, b) p = Reshape(g, back) {QKV}(p) {READ}",
               {"w": (8, 96), "b": (96,)}, rows=(7, 8), back=(1, 7, 96)),
        "Reshape Gemm Reshape Gemm Reshape Gemm Reshape",
    ),
    "heads in front, taken one by one": (
        sample(
            f"""zero = Constant<value_int=0>() one = Constant<value_int=1>() last = Constant<value_int=-1>()
            p = MatMul(x, w) h = Reshape(p, heads) t = Transpose<perm=[2,0,3,1,4]>(h)
            q = Gather(t, zero) k = Gather(t, one) v = Gather(t, last) {READ}""",
            heads=(1, 7, 3, 4, 8), head="(float[1,7,8] x) => (float[1,4,7,m] y)",
        ),
        "MatMul Reshape Transpose Reshape " * 3,
    ),
    "an axis put in front and taken away behind": (
        sample(
            f"""p = MatMul(x, w) h = Reshape(p, parts)
            u = Unsqueeze(h, zero) t = Transpose<perm=[3,1,2,0,4]>(u)
            s = Squeeze(t, three) q = Gather(s, zero) k = Gather(s, one) v = Gather(s, two) {READ}""",
            parts=(1, 7, 3, 32), zero=(0,), one=(1,), two=(2,), three=(3,),
            head="(float[1,7,8] x) => (float[1,1,7,m] y)",
        ),
        "MatMul Reshape Reshape Transpose Reshape " * 3,
    ),
    "slices": (
        sample(
            "p = MatMul(x, w) q = Slice(p, zero, n, last) k = Slice(p, n, end, last)"
            "y = Concat<axis=2>(k, q)",
            zero=(0,), n=(48,), end=(1 << 62,), last=(-1,),
        ),
        "MatMul MatMul",
    ),
    "of two products with one weight": (
        sample(
            f"p = MatMul(x, w) {QKV}(p) e = Neg(x) p2 = MatMul(e, w)"
            f"q2, k2 = Split<axis=2, num_outputs=2>(p2) {READ} z = Concat<axis=1>(q2, k2)",
            head="(float[1,7,8] x) => (float[1,7,m] y, float[1,14,48] z)",
        ),
        "MatMul MatMul MatMul Neg MatMul MatMul",
    ),
}  # fmt: skip

# Models that are planned as they are.
WHOLE: dict[str, Sample] = {
    "a weight that something else reads": sample(
        f"p = MatMul(x, w) {QKV}(p) {READ} z = Exp(w)",
        head="(float[1,7,8] x) => (float[1,7,m] y, float[8,96] z)",
    ),
    "a weight that the caller gives": sample(
        f"p = MatMul(x, w) {QKV}(p) {READ}", head="(float[1,7,8] x, float[8,96] w) => (float[1,7,m] y)"
    ),
    "a product that is read as a whole too": sample(
        f"p = MatMul(x, w) {QKV}(p) {READ} z = Exp(p)",
        head="(float[1,7,8] x) => (float[1,7,m] y, float[1,7,96] z)",
    ),
    "a product that is an output": sample(
        f"p = MatMul(x, w) {QKV}(p) {READ}", head="(float[1,7,8] x) => (float[1,7,m] y, float[1,7,96] p)"
    ),
    "rows": sample("p = MatMul(x, w) q, k = Split<axis=1>(p, sizes) y = Concat<axis=1>(k, q)", sizes=(3, 4)),
    "parts of each head": sample(
        f"""p = MatMul(x, w) h = Reshape(p, heads) q, k, v = Split<axis=3, num_outputs=3>(h) {READ}""",
        heads=(1, 7, 2, 3, 16), head="(float[1,7,8] x) => (float[1,7,2,3,m] y)",
    ),
    "narrow parts": sample(f"p = MatMul(x, w) {QKV}(p) {READ}", {"w": (8, 93)}),
    "a gate and what it gates": sample(
        "p = MatMul(x, w) a, b = Split<axis=2, num_outputs=2>(p) s = Sigmoid(b) t = Mul(b, s) y = Mul(t, a)"
    ),
    "parts that overlap": sample(
        "p = MatMul(x, w) q = Slice(p, zero, n, last) k = Slice(p, m, end, last) y = Mul(q, k)",
        zero=(0,), m=(40,), n=(56,), end=(96,), last=(2,),
    ),
    "a bias that is computed": sample(
        f"e = ReduceSum<keepdims=0>(x) m = MatMul(x, w) p = Add(m, e) {QKV}(p) {READ}"
    ),
    "a bias that adds an axis": sample(
        f"m = MatMul(x, w) p = Add(m, b) {QKV}(p) {READ}", {"w": (8, 96), "b": (2, 1, 7, 96)},
        "(float[1,7,8] x) => (float[2,1,7,m] y)",
    ),
    "an Einsum that broadcasts": sample(
        'p = Einsum<equation="bic,bjc->bij">(x, w) y = Tanh(p)', {"w": (1, 7, 8)},
        "(float[2,7,8] x) => (float[2,7,7] y)",
    ),
}  # fmt: skip

EINSUMS: dict[str, tuple[Sample, str]] = {
    "an Einsum of two operands": (
        sample(
            'e = Exp(x) p = Einsum<equation="bic,bjc->bij">(x, e) y = Tanh(p)', {},
            "(float[1,7,8] x) => (float[1,7,7] y)",
        ),
        "Exp Transpose MatMul Tanh",
    ),
    "an Einsum of merged axes": (
        sample(
            'e = Exp(x) p = Einsum<equation="ikc,jkd->ijcd">(x, e) y = Tanh(p)', {},
            "(float[5,7,2] x) => (float[5,5,2,2] y)",
        ),
        "Exp Transpose Reshape Transpose Reshape MatMul Reshape Transpose Tanh",
    ),
}  # fmt: skip

WRITTEN = {**PARTS, **EINSUMS}


@pytest.mark.parametrize(("case", "ops"), WRITTEN.values(), ids=WRITTEN)
def test_what_is_written_out_computes_the_same(case: Sample, ops: str) -> None:
    before = case.loaded()
    proto = ir.to_proto(before.model).SerializeToString(deterministic=True)
    after = write_out(before)
    found = " ".join(op.type for op in after.graph.ops)
    assert found.startswith(ops.strip()) and "Split" not in found and "Einsum" not in found
    assert ir.to_proto(before.model).SerializeToString(deterministic=True) == proto
    onnx.checker.check_model(ir.to_proto(after.model), full_check=True)
    expected, given = outputs_of(before.model), outputs_of(after.model)
    assert expected.keys() == given.keys()
    for name, array in expected.items():
        check_close(given[name], array)


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE)
def test_what_is_no_product_of_parts_stays(case: Sample) -> None:
    before = case.loaded()
    assert write_out(before) is before
    outputs_of(before.model)  # the case is a model


@pytest.mark.parametrize("case", [case for case, _ in WRITTEN.values()], ids=WRITTEN)
def test_what_no_region_took_in_comes_back_as_it_was(case: Sample) -> None:
    loaded = case.loaded()
    before = ir.to_proto(loaded.model).graph
    after = ir.to_proto(weave(write_out(loaded), Plan.nothing(1))).graph
    assert {n.name: n for n in before.node} == {n.name: n for n in after.node}
    assert {t.name: t for t in before.initializer} == {t.name: t for t in after.initializer}
    assert list(before.output) == list(after.output)


# Regions of the product of two, and the weights that are then in the file.
TAKEN: dict[str, tuple[str, set[str]]] = {
    "a part": ("k e2", {*(f"w/axis1/{c}" for c in COLUMNS)}),
    "no part": ("e3", {"w"}),
}


@pytest.mark.parametrize(("region", "weights"), TAKEN.values(), ids=TAKEN)
def test_weights_are_in_the_file_once_and_read_when_they_are_written(
    region: str, weights: set[str], tmp_path: Path
) -> None:
    case, _ = PARTS["three columns of a product"]
    save(case.loaded().model, tmp_path / "in.onnx", external=True, threshold_bytes=0)
    loaded = write_out(load(tmp_path / "in.onnx"))
    model = weave(loaded, plan_of(loaded, [Stretch(region, 1)], Form.SCAN, 3))
    assert weights_bytes(loaded.model) == 8 * 96 * 4
    for external in (False, True):
        save(model, tmp_path / "out.onnx", external=external, threshold_bytes=0)
        found = onnx.load(tmp_path / "out.onnx")
        written = {t.name: numpy_helper.to_array(t) for t in found.graph.initializer if t.name[0] == "w"}
        assert written.keys() == weights
        whole = np.concatenate([written[name] for name in sorted(written)], axis=1)
        assert whole.tobytes() == numpy_helper.to_array(case.model().graph.initializer[0]).tobytes()
        for name, array in outputs_of(case.model()).items():
            check_close(outputs_of(found)[name], array)


def test_a_part_of_a_weight_keeps_no_file_mapped(tmp_path: Path) -> None:
    whole = np.arange(8 * 96, dtype=np.float32).reshape(8, 96)
    whole.tofile(tmp_path / "w")
    tensor = ir.ExternalTensor(
        "w", 0, whole.nbytes, ir.DataType.FLOAT, shape=ir.Shape(whole.shape), name="w", base_dir=tmp_path
    )
    assert parts._cut(tensor, 1, (32, 64)).tobytes() == whole[:, 32:64].tobytes()
    assert tensor.raw is None


def test_products_with_one_weight_are_put_back_together_or_not_at_all() -> None:
    case, _ = PARTS["of two products with one weight"]
    loaded = write_out(case.loaded())
    for region, weights in (("k e2", 5), ("e3", 1)):
        model = weave(loaded, plan_of(loaded, [Stretch(region, 1)], Form.SCAN, 3))
        assert sum(name.startswith("w") for name in model.graph.initializers) == weights
        for name, array in outputs_of(case.model()).items():
            check_close(outputs_of(model)[name], array)


@pytest.mark.parametrize("frames", Frames)
def test_what_stands_in_several_places_stays_there(frames: Frames) -> None:
    case = sample(
        f"""p = MatMul(x, w) {QKV}(p) e1 = Exp(q) e2 = Tanh(e1) s = Concat<axis=0>(e2, k)
        e3 = Exp(s) e4 = Tanh(e3) t = Concat<axis=0>(e4, v) y = Neg(t)""",
        head="(float[1,7,8] x) => (float[3,7,32] y)",
    )
    loaded = write_out(case.loaded())
    plan = plan_of(loaded, [Stretch("e1 e2", 1), Stretch("e3 e4", 1)], Form.SCAN, 1)
    first, second = plan.regions
    halves = [
        replace(first, alongside=first.alongside[:1]),
        replace(second, alongside=first.alongside[1:] + second.alongside),
    ]
    for regions, weights in ((plan.regions, ["w"]), (halves, [f"w/axis1/{c}" for c in COLUMNS])):
        model = weave(loaded, Plan(tuple(regions), 0, 1.0, 0.0, frames))
        assert sorted(name for name in model.graph.initializers if name[0] == "w") == weights
        for name, array in outputs_of(case.model()).items():
            check_close(outputs_of(model)[name], array)


def test_what_a_region_reads_a_part_of_stays_written_out() -> None:
    """The last Transpose runs before the loop, for who needs all of it, and in the loop on the product."""
    case = sample(
        """e = Exp(x) p = Einsum<equation="ikc,jkc->ijc">(x, e) t = Transpose<perm=[0,2,1]>(p)
        s = MatMul(p, t) y = Tanh(s)""",
        {},
        "(float[5,7,2] x) => (float[5,5,5] y)",
    )
    loaded = write_out(case.loaded())
    plan = plan_of(loaded, [Stretch("p s", 1)], Form.SCAN, 2)
    assert plan.regions[0].region.recomputed
    for name, array in outputs_of(case.model()).items():
        check_close(outputs_of(weave(loaded, plan))[name], array)


def test_keys_and_values_are_made_one_after_the_other() -> None:
    case = Sample(
        f"""(float[1,512,32] x) => (float[1,512,32] y) {{
            p = MatMul(x, w) {QKV}(p) kt = Transpose<perm=[0,2,1]>(k)
            s = MatMul(q, kt) soft = Softmax(s) y = MatMul(soft, v)
        }}""",
        (),
        weights={"w": (32, 96)},
    )
    together = case.loaded()
    floors = [
        make_planner(loaded.graph, Options(), CostModel.load(), (Form.SCAN,)).floor_bytes
        for loaded in (together, write_out(together))
    ]
    part_bytes = 512 * 32 * 4
    assert floors[1] < floors[0] - part_bytes / 2
