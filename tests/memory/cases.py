"""Graphs for the memory tests, in ONNX's text form; X is 16 MiB, in which a process' own noise is lost."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import parser

X = "float[1024,4096]"

# A signature and nodes.
PLANS = {
    "chain": (f"({X} x) => ({X} y)", "a = Exp(x) b = Sqrt(a) c = Abs(b) y = Neg(c)"),
    "in_place_chain": (f"({X} x) => ({X} y)", "a = Exp(x) b = Relu(a) c = Sigmoid(b) y = Neg(c)"),
    "in_place_needs_one_reader": (f"({X} x) => ({X} y)", "a = Exp(x) b = Relu(a) c = Exp(a) y = Add(b, c)"),
    "read_twice_by_one_op": (f"({X} x) => ({X} y)", "a = Exp(x) b = Mul(a, a) c = Relu(b) y = Exp(c)"),
    "residual": (f"({X} x) => ({X} y)", "a = Exp(x) b = Erf(a) c = Neg(b) d = Add(a, c) y = Abs(d)"),
    "diamond": (
        f"({X} x) => ({X} y)",
        "a = Exp(x) b = Erf(a) c = Neg(a) d = Abs(a) e = Add(b, c) f = Add(e, d) y = Sqrt(f)",
    ),
    "lengthened_by_reuse": (
        f"({X} x) => (float[1024,4096] y)",
        """a = Exp(x) b = Erf(a) s = Concat<axis=1>(b, b) t = Exp(s) k = Constant<value=int64[1] {1}>()
        r = ReduceMax(t, k) c = Add(x, r) d = Exp(c) y = Neg(d)""",
    ),
    "same_bytes_other_shape": (
        f"({X} x) => (float[4096,1024] y)",
        "a = Exp(x) b = Exp(a) c = Transpose(b) d = Exp(c) y = Exp(d)",
    ),
    "int_reuses_float": (
        f"({X} x) => (int32[1024,4096] y)",
        "a = Exp(x) b = Erf(a) c = Exp(b) d = Cast<to=6>(c) y = Abs(d)",
    ),
    "output_in_the_middle": (f"({X} x) => ({X} a, {X} y)", "a = Exp(x) b = Relu(a) c = Relu(b) y = Exp(c)"),
    "output_is_reshaped": (
        f"({X} x) => (float[4194304] y)",
        "s = Constant<value=int64[1] {-1}>() a = Exp(x) y = Reshape(a, s)",
    ),
    "reshape_of_an_output": (
        f"({X} x) => ({X} a, float[4194304] y)",
        "s = Constant<value=int64[1] {-1}>() a = Exp(x) b = Reshape(a, s) y = Exp(b)",
    ),
    "unread_output": (
        f"({X} x) => (float[1024,2048] y)",
        "a, b = Split<axis=1, num_outputs=2>(x) c = Exp(a) d = Sqrt(c) y = Exp(d)",
    ),
    "unread_op": (f"({X} x) => ({X} y)", "a = Exp(x) unread = Neg(a) b = Sqrt(a) c = Abs(b) y = Exp(c)"),
    "alias_of_an_input": (
        f"({X} x) => (float[4194304] y)",
        "s = Constant<value=int64[1] {-1}>() a = Reshape(x, s) b = Relu(a) c = Exp(b) y = Neg(c)",
    ),
    "aliases_keep_alive": (
        f"({X} x) => (float[4194304] y)",
        """s = Constant<value=int64[1] {-1}>() a = Exp(x) b = Reshape(a, s) c = Exp(b) d = Relu(a) e =
        Reshape(d, s) y = Add(c, e)""",
    ),
    "where": (
        f"({X} x, bool[1024,4096] m) => ({X} y)",
        "k = Constant<value=float {2.0}>() a = Exp(x) b = Where(m, k, a) c = Softmax(b) y = Exp(c)",
    ),
    "where_broadcast": (
        f"({X} x, bool[1,4096] m) => ({X} y)",
        "k = Constant<value=float {2.0}>() a = Exp(x) b = Where(m, k, a) c = Softmax(b) y = Exp(c)",
    ),
    "sum_of_four": (f"({X} x) => ({X} y)", "a = Exp(x) b = Sum(a, x, a, x) y = Exp(b)"),
    "sum_of_four_into_a_used_buffer": (
        f"({X} x) => ({X} y)",
        """m = Constant<value=int64[1] {1}>() a = Exp(x) b = Erf(a) r = ReduceMax(b, m)
        s = Sum(r, x, x, x) y = Exp(s)""",
    ),
    "softmax_inner": (f"({X} x) => ({X} y)", "a = Exp(x) b = Softmax<axis=0>(a) y = Exp(b)"),
    "concat_of_slices": (
        f"({X} x) => ({X} y)",
        """h = Exp(x) i = Constant<value=int64[1] {0}>() j = Constant<value=int64[1] {256}>()
        k = Constant<value=int64[1] {512}>() l = Constant<value=int64[1] {1024}>() n =
        Constant<value=int64[1] {0}>() a = Slice(h, i, j, n) b = Slice(h, j, k, n) c = Slice(h, k, l, n)
        a1 = Exp(a) a2 = Concat<axis=1>(a1, a1) a3 = Exp(a2) r = Constant<value=int64[1] {1}>() a4 =
        ReduceMax(a3, r) a5 = Add(a4, a) b1 = Exp(b) b2 = Concat<axis=1>(b1, b1) b3 = Exp(b2) b4 =
        ReduceMax(b3, r) b5 = Add(b4, b) c1 = Exp(c) c2 = Concat<axis=1>(c1, c1) c3 = Exp(c2) c4 =
        ReduceMax(c3, r) c5 = Add(c4, c) z = Concat<axis=0>(a5, b5, c5) y = Exp(z)""",
    ),
    "sweep": (
        "(float[1,1024,4096] x) => (float[1,1024,4096] y)",
        """h = Exp(x) i = Constant<value=int64[1] {0}>() j = Constant<value=int64[1] {512}>()
        k = Constant<value=int64[1] {1024}>() n = Constant<value=int64[1] {1}>()
        a = Slice(h, i, j, n) a1 = Exp(a) a2 = Concat<axis=2>(a1, a1) a3 = Exp(a2) r =
        Constant<value=int64[1] {2}>() a4 = ReduceMax(a3, r) a5 = Add(a4, a) h1 = TensorScatter<axis=1>(h,
        a5, i) b = Slice(h1, j, k, n) b1 = Exp(b) b2 = Concat<axis=2>(b1, b1) b3 = Exp(b2) b4 =
        ReduceMax(b3, r) b5 = Add(b4, b) h2 = TensorScatter<axis=1>(h1, b5, j) y = Exp(h2)""",
    ),
    "attention": (
        """(float[1,1024,512] x, float[512,512] q, float[512,512] k, float[512,512] v) => (float[1,1024,512]
        y)""",
        """s = Constant<value=int64[4] {1,1024,8,64}>() t = Constant<value=int64[3] {1,1024,512}>()
        w = Constant<value=float[1] {1.0}>() n = LayerNormalization(x, w)
        q1 = MatMul(n, q) q2 = Reshape(q1, s) q3 = Transpose<perm=[0,2,1,3]>(q2)
        k1 = MatMul(n, k) k2 = Reshape(k1, s) k3 = Transpose<perm=[0,2,3,1]>(k2)
        v1 = MatMul(n, v) v2 = Reshape(v1, s) v3 = Transpose<perm=[0,2,1,3]>(v2)
        a = MatMul(q3, k3) p = Softmax(a) o = MatMul(p, v3) o1 = Transpose<perm=[0,2,1,3]>(o) o2 =
        Reshape(o1, t) r = Add(x, o2) y = Exp(r)""",
    ),
    "mlp": (
        "(float[1,4096,256] x, float[256,2048] u, float[2048,256] d, float[256] w) => (float[1,4096,256] y)",
        """h = Exp(x) n = LayerNormalization(h, w) a = MatMul(n, u) g = Gelu(a) b = MatMul(g, d) r = Add(h, b)
        n2 = LayerNormalization(r, w) a2 = MatMul(n2, u) g2 = Gelu(a2) b2 = MatMul(g2, d) y = Add(r, b2)""",
    ),
    "einsum": (
        "(float[1,512,16,64] x) => (float[1,512,16,64] y)",
        """a = Exp(x) b = Einsum<equation="bihd,bjhd->bhij">(a, a) c = Softmax(b)
        d = Einsum<equation="bhij,bjhd->bihd">(c, a) y = Exp(d)""",
    ),
}

BODY = "float[256,4096]"
BODIES = {
    "scan": (
        "(float[4,256,4096] x) => (float[4,256,4096] y)",
        f"""h = Exp(x) z = Scan<num_scan_inputs=1, body = b ({BODY} i) => ({BODY} o)
        <{BODY} p, float[256,1] q, float[256,8192] r> {{ p = Exp(i) r = Concat<axis=1>(p, p) r1 = Exp(r)
        k = Constant<value=int64[1] {{1}}>() q = ReduceMax(r1, k) o = Add(q, i) }}>(h) y = Exp(z)""",
    ),
    "scan_body_reads_outside": (
        "(float[4,256,4096] x, float[4096,512] w) => (float[4,256,512] y)",
        f"""h = Exp(x) u = Exp(w) z = Scan<num_scan_inputs=1, body = b ({BODY} i) => (float[256,512] o)
        <float[256,512] p> {{ j = Exp(i) p = MatMul(j, u) o = Relu(p) }}>(h) y = Exp(z)""",
    ),
    "scan_with_state": (
        "(float[4,256,4096] x) => (float[256,4096] t, float[4,256,4096] y)",
        f"""h = Exp(x) k = Constant<value=int64[1] {{0}}>() s = ReduceMax<keepdims=0>(h, k)
        t, z = Scan<num_scan_inputs=1, body = b ({BODY} s0, {BODY} i) => ({BODY} s1, {BODY} o)
        {{ s1 = Add(s0, i) o = Exp(s1) }}>(s, h) y = Exp(z)""",
    ),
    "scan_inner_axis": (
        "(float[256,4,4096] x) => (float[256,4,4096] y)",
        f"""h = Exp(x) z = Scan<num_scan_inputs=1, scan_input_axes=[1], scan_output_axes=[1],
        body = b ({BODY} i) => ({BODY} o) {{ p = Exp(i) o = Exp(p) }}>(h) y = Exp(z)""",
    ),
    "loop_stacks": (
        "(float[4,256,4096] x) => (float[4,256,4096] y) <float[4,256,4096] z>",
        f"""h = Exp(x) n = Constant<value=int64 {{4}}>() t = Constant<value=bool {{1}}>()
        z = Loop<body = b (int64 i, bool c) => (bool d, {BODY} o) <{BODY} g, {BODY} p> {{ d = Identity(c)
        k = Constant<value=int64 {{0}}>() g = Gather<axis=0>(h, i) p = Exp(g) o = Exp(p) }}>(n, t)
        y = Exp(z)""",
    ),
    "loop_carries": (
        f"({X} x) => ({X} y) <{X} z>",
        f"""h = Exp(x) n = Constant<value=int64 {{4}}>() t = Constant<value=bool {{1}}>()
        z = Loop<body = b (int64 i, bool c, {X} s) => (bool d, {X} o) <{X} p> {{ d = Identity(c) p = Exp(s)
        o = Neg(p) }}>(n, t, h) y = Exp(z)""",
    ),
    "loop_says_no_shape": (
        f"({X} x) => ({X} y)",
        f"""h = Exp(x) n = Constant<value=int64 {{2}}>() t = Constant<value=bool {{1}}>()
        z = Loop<body = b (int64 i, bool c, {X} s) => (bool d, {X} o) <{X} p> {{ d = Identity(c) p = Exp(s)
        o = Neg(p) }}>(n, t, h) u = Exp(z) v = Erf(u) y = Add(u, v)""",
    ),
    "if": (
        f"({X} x, bool c) => ({X} y)",
        f"""h = Exp(x) z = If<then_branch = a () => ({X} o) <{X} p, float[1024,8192] q, float[1024,8192] r>
        {{ p = Exp(h) q = Concat<axis=1>(p, p) r = Exp(q) k = Constant<value=int64[1] {{1}}>() s =
        ReduceMax(r, k) o = Add(s, h) }}, else_branch = b () => ({X} o2) {{ o2 = Neg(h) }}>(c) y = Exp(z)""",
    ),
    "loop_of_one_op": (
        f"({X} x) => ({X} y) <{X} z>",
        f"""h = Exp(x) n = Constant<value=int64 {{4}}>() t = Constant<value=bool {{1}}>()
        z = Loop<body = b (int64 i, bool c, {X} s) => (bool d, {X} o) {{ d = Identity(c) o = Exp(s) }}>(n, t,
        h) y = Exp(z)""",
    ),
    "loop_into_a_used_buffer": (
        f"({X} x) => ({X} y) <{X} z>",
        f"""m = Constant<value=int64[1] {{1}}>() n = Constant<value=int64 {{4}}>()
        t = Constant<value=bool {{1}}>() a = Exp(x) b = Erf(a) r = ReduceMax(b, m) c = Add(x, r)
        z = Loop<body = b (int64 i, bool c, {X} s) => (bool d, {X} o) <{X} p, {X} q> {{ d = Identity(c)
        p = Exp(s) q = Erf(p) o = Add(p, q) }}>(n, t, c) y = Exp(z)""",
    ),
    "if_into_a_used_buffer": (
        f"({X} x, bool c) => ({X} y)",
        f"""m = Constant<value=int64[1] {{1}}>() a = Exp(x) b = Erf(a) r = ReduceMax(b, m) h = Add(x, r)
        z = If<then_branch = a () => ({X} o) <{X} p, {X} q> {{ p = Exp(h) q = Erf(p) o = Neg(q) }},
        else_branch = b () => ({X} o2) {{ o2 = Neg(h) }}>(c) y = Exp(z)""",
    ),
    "scan_into_a_used_buffer": (
        "(float[1,1024,4096] x, float[1,1] once) => (float[1,1024,4096] y)",
        """m = Constant<value=int64[1] {1}>() e = Constant<value=int64[2] {1024,4096}>()
        h = Exp(x) r = ReduceMax<keepdims=0>(h, m)
        z = Scan<num_scan_inputs=1, body = b (float[1] i) => (float[1024,4096] o) <float[1024,1] t,
        float[1024,4096] p, float[1024,8192] q, float[1024,8192] s>
        { p = Expand(r, e) q = Concat<axis=1>(p, p) s = Exp(q) t = ReduceMax(s, m) o = Add(t, r) }>(once)
        y = Exp(z)""",
    ),
    "scan_into_a_new_buffer": (
        "(float[1,1024,4096] x, float[1,1] once) => (float[1,1024,4096] y)",
        """m = Constant<value=int64[1] {1}>() e = Constant<value=int64[2] {1024,4096}>()
        r = ReduceMax<keepdims=0>(x, m)
        z = Scan<num_scan_inputs=1, body = b (float[1] i) => (float[1024,4096] o) <float[1024,1] t,
        float[1024,4096] p, float[1024,8192] q, float[1024,8192] s>
        { p = Expand(r, e) q = Concat<axis=1>(p, p) s = Exp(q) t = ReduceMax(s, m) o = Add(t, r) }>(once)
        y = Exp(z)""",
    ),
    "scan_in_scan": (
        "(float[4,4,256,1024] x) => (float[4,4,256,1024] y)",
        """h = Exp(x) z = Scan<num_scan_inputs=1, body = b (float[4,256,1024] i) => (float[4,256,1024] o)
        <float[4,256,1024] e> { e = Exp(i) o = Scan<num_scan_inputs=1, body = c (float[256,1024] j) =>
        (float[256,1024] w) <float[256,1024] p, float[256,4096] q> { p = Exp(j) q = Concat<axis=1>(p, p, p,
        p) q1 = Exp(q) k = Constant<value=int64[1] {1}>() r = ReduceMax(q1, k) w = Add(r, j) }>(e) }>(h) y =
        Exp(z)""",
    ),
}


def model(signature: str, nodes: str, opset: int = 24) -> onnx.ModelProto:
    text = f'<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1]> g {signature} {{ {nodes} }}'
    return onnx.shape_inference.infer_shapes(parser.parse_model(text), data_prop=True)


def with_weights(proto: onnx.ModelProto, names: str) -> onnx.ModelProto:
    """Turn inputs into constants of random numbers."""
    rng = np.random.default_rng(0)
    for name in names.split():
        value = next(value for value in proto.graph.input if value.name == name)
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        data = (rng.standard_normal(shape, dtype=np.float32) / 16).astype(dtype)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(data, name))
        proto.graph.input.remove(value)
    return proto
