"""The library's two verbs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .errors import UsageError
from .graph.load import Source, load
from .memory.lifetime import Timeline, simulate
from .options import Budget, Form, Options
from .pipeline import run
from .report.progress import Progress
from .result import Result
from .runtime.session import default_provider


def autochunk(source: Source, *, progress: Progress | None = None, **options: Any) -> Result:
    """Rewrite a model so that its activations need less memory.

    >>> result = autochunk("in.onnx", budget="20%", dims={"tokens": 4096})  # doctest: +SKIP
    >>> result.save("out.onnx")  # doctest: +SKIP

    Args:
        source: a path, a `ModelProto` or an `onnx_ir.Model`; it is not modified.
        progress: who is told where the work is; nobody by default.
        options: fields of `Options`; `budget` may be text such as "512MiB" or "20%", `form` a name, `plan`
            a path or the `report.plan` of an earlier result, `provider` "cpu" or "cuda": by default "cuda"
            where ONNX Runtime can use a GPU.

    Raises:
        AutochunkError: one of its kinds, each with the exit code of the command line.
    """
    if options.get("budget") is not None:
        options["budget"] = Budget.parse(options["budget"])
    if isinstance(options.get("form"), str):
        options["form"] = _form(options["form"])
    options.setdefault("provider", default_provider())
    for name in ("input_data", "plan"):
        if isinstance(options.get(name), str):
            options[name] = Path(options[name])
    return run(source, Options(**options), progress)


def _form(name: str) -> Form:
    known = {form.value: form for form in Form}
    if name not in known:
        raise UsageError(f"form {name!r} is not one of {', '.join(known)}")
    return known[name]


def analyze(source: Source, *, dims: dict[str, int] | None = None, provider: str = "cpu") -> Timeline:
    """Simulate what ONNX Runtime will hold over one run of a model, without rewriting it.

    Args:
        source: as for `autochunk`.
        dims: sizes of symbolic dims.
        provider: whose kernels.
    """
    return simulate(load(source, dims=dims).graph, provider=provider)
