"""What would be bad about models on ONNX Runtime's CUDA provider, without a GPU: tables and rules only.

    python -m tools.cuda_static MODEL... [--dim NAME=SIZE]

Prints a Markdown table for each model. Exit code 1 where something in the body of a Loop or Scan runs on the
CPU for want of a kernel, or is copied between the devices.
"""

from __future__ import annotations

import argparse
import sys

from onnx_autochunk.cuda.check import check
from onnx_autochunk.graph.functions import defined
from onnx_autochunk.graph.load import load


def main(arguments: list[str]) -> int:
    """Print what is found; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.cuda_static", description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=SIZE")
    given = parser.parse_args(arguments)
    dims = {name: int(size) for name, _, size in (dim.partition("=") for dim in given.dim)}
    reports = [check(defined(load(model, dims=dims)).graph) for model in given.models]
    for model, report in zip(given.models, reports, strict=True):
        print(f"## {model}\n\n{report.text()}")
    return int(any(report.bad for report in reports))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
