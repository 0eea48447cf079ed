"""What every operator does to every axis: rules as data, and the engine that carries a cut axis across."""

from onnx_autochunk.axes import rules as rules  # registers every rule
from onnx_autochunk.axes.factor import Factor, Mark, Place, Rule
from onnx_autochunk.axes.flow import Position, Refusal, Step, carry, positions
from onnx_autochunk.axes.notation import written
from onnx_autochunk.axes.registry import rule_for

__all__ = [
    "Factor", "Mark", "Place", "Position", "Refusal", "Rule", "Step",
    "carry", "positions", "rule_for", "written",
]  # fmt: skip
