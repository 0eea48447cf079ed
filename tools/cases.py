"""What `tools.bench` runs: a model, how it is exported and chunked, and what the result may take.

`PLAIN` are the four families of models; `MORE` shows what has to hold beside them:

    pooling --budget 2MiB  ->  at most 1.5 % of the original's peak, where one query at a time holds 6 %
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """A model and its limits.

    Attributes:
        model: its name for `python -m models`.
        share: of the original's peak, the most that the result may hold.
        ratio: to the original's time, the most that it may take.
        export: options of the export.
        options: options of the command line.
        alone: type of the ops that no loop may run.
    """

    model: str
    share: float
    ratio: float = 1.05
    export: str = ""
    options: tuple[str, ...] = ()
    alone: str = ""


PLAIN: Mapping[str, Case] = {
    "gpt2": Case("gpt2", 0.04),
    "vit": Case("vit", 0.04),
    "evoformer": Case("evoformer", 0.09),
    "unet": Case("unet", 0.10),
}
AT_NO_LOSS = ("--max-slowdown", "1.0")
FUSED = "--fused --opset 23"
MORE: Mapping[str, Case] = {
    "pooling": Case("pooling", 0.015, options=("--budget", "2MiB")),  # a score a key, of one query: 15.3 MiB
    "gpt2-at-no-loss": Case("gpt2", 0.04, 1.0, options=AT_NO_LOSS),
    "vit-at-no-loss": Case("vit", 0.04, 1.0, options=AT_NO_LOSS),
    "gpt2-attention": Case("gpt2", 0.10, export=FUSED),
    "vit-attention": Case("vit", 0.10, export=FUSED),
    "vit-contrib": Case("vit", 1.01, export="--contrib", alone="MultiHeadAttention"),
    "gpt2-qdq": Case("gpt2", 0.10, 2.0, "--quantized", ("--budget", "10%")),
    "vit-qdq": Case("vit", 0.10, 2.0, "--quantized", ("--budget", "10%")),
    "nearest": Case("neighbours", 0.02),
    "nearest-10": Case("neighbours", 0.02, export="--nearest 10"),
}
CASES: Mapping[str, Case] = {**PLAIN, **MORE}
