"""Small exports of the example models, made once for all test processes of a session."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

# Activations of about 30 MiB, where a few pages more or less are nothing.
SIZES: Mapping[str, Mapping[str, int]] = {
    "gpt2": {"layers": 2, "tokens": 1024, "width": 64, "heads": 4, "vocab": 128},
    "gpt2-open": {"layers": 1, "tokens": 1024, "width": 64, "heads": 4, "vocab": 128, "dynamic": True},
    "vit": {"layers": 2, "image": 512, "width": 48, "heads": 4},  # 1025 tokens: uneven whatever the length
    "vit-open": {"layers": 1, "image": 256, "width": 48, "heads": 4, "dynamic": True},
    "bert-open": {"layers": 1, "tokens": 512, "width": 64, "heads": 4, "vocab": 128, "dynamic": True},
    "evoformer": {"blocks": 1, "residues": 64, "sequences": 16},
    "unet": {"latent": 32, "width": 32, "heads": 4},
    "gpt2-fused": {"layers": 2, "tokens": 1024, "width": 64, "heads": 8, "vocab": 128, "fused": True},
    "gpt2-fused-uneven": {
        "layers": 2, "tokens": 1022, "width": 64, "heads": 8, "vocab": 128, "fused": True,
    },
    "vit-fused": {"layers": 2, "image": 512, "width": 48, "heads": 8, "fused": True},
    "vit-contrib": {"layers": 2, "image": 512, "width": 64, "heads": 8, "contrib": True},
    "neighbours": {"points": 2500, "width": 16},
}  # fmt: skip


def exported(name: str, folder: Path, dtype: str = "float32") -> Path:
    """The file of one model in a folder that processes share; the first who asks exports it."""
    path = folder / (f"{name}.onnx" if dtype == "float32" else f"{name}-{dtype}.onnx")
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _export(name, path, dtype)
    return path


def _export(name: str, path: Path, dtype: str) -> None:
    import torch  # noqa: PLC0415 - takes seconds, and most tests do without

    from models import export  # noqa: PLC0415

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        build = import_module(f"models.{name.partition('-')[0]}").build
        # The operator Attention came with 23, a Conv of bfloat16 with 22.
        opset = 23 if "fused" in SIZES[name] else 22 if dtype == "bfloat16" else 20
        export.export(export.seeded(build, 0, getattr(torch, dtype), **SIZES[name]), path, opset=opset)
    finally:
        torch.set_num_threads(threads)
