"""What every operator does to every axis: rules as data, and the engine that carries a cut axis across."""

from onnx_autochunk.axes import rules as rules  # registers every rule
from onnx_autochunk.axes.chunk import Call, call
from onnx_autochunk.axes.factor import Factor, Linear, Mark, Patch, Place, Rule, Window
from onnx_autochunk.axes.flow import Position, Range, Refusal, Step, carry, positions
from onnx_autochunk.axes.notation import written
from onnx_autochunk.axes.registry import rule_for

__all__ = [
    "Call", "Factor", "Linear", "Mark", "Patch", "Place", "Position", "Range", "Refusal", "Rule", "Step",
    "Window",
    "call", "carry", "positions", "rule_for", "written",
]  # fmt: skip
