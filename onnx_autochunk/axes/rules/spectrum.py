"""Spectra: frames of a signal are independent, frequencies need every sample.

    STFT(frame_step=2, frame_length=4): b f~ k! -> b f u! v!

Source: https://onnx.ai/onnx/operators/onnx__STFT.html, onnx__DFT.html
"""

from __future__ import annotations

from onnx_autochunk.axes.factor import Window
from onnx_autochunk.axes.registry import Answer, Node, Notation, barrier, rule
from onnx_autochunk.axes.rules.words import names, term


@rule("STFT")
def short_time_transform(node: Node) -> Answer:
    """Frames overlap where they are longer than the step between them."""
    signal = term(["b", "s!", "k!"][: len(node.shape(0))])
    step, length = node.known(1), node.known(3) or (node.shape(2) if node.has(2) else None)
    if not step or not length:
        return f"{signal}, (), (), () -> b f! u! v!"
    windows = {"f": Window(node.shape(0)[1], step[0], span=length[0])}
    return Notation(f"{signal.replace('s!', 'f~')}, (), (), () -> b f u! v!", windows=windows)


@rule("DFT")
def transform(node: Node) -> Answer:
    """The axis is an attribute before opset 20 and an operand since; real and imaginary parts are last."""
    rank = len(node.shape(0))
    axis = _axis(node)
    if axis is None:
        return barrier("the axis of DFT is unknown")
    words = names(rank - 1)
    words[axis % rank] = "s!"
    after = ["r!" if word == "s!" else word for word in words]
    return f"{term([*words, 'k!'])}, (), () -> {term([*after, 'v!'])}"


def _axis(node: Node) -> int | None:
    if node.op.version < 20:
        return node.integer("axis", 1)
    given = node.known(2)
    return -2 if not node.has(2) else given[0] if given else None
