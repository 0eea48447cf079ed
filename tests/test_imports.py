"""Imports go one way: a module may use what stands before it in `LAYERS`, and its own package."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import onnx_autochunk

ROOT = Path(onnx_autochunk.__file__).parent
PACKAGE = ROOT.name

LAYERS = (
    ("errors", "_version", "collection"),
    ("options",),
    ("graph",),
    ("axes", "cuda"),
    ("memory",),
    ("cost",),
    ("plan",),
    ("emit", "runtime"),
    ("verify",),
    ("report",),
    ("trial",),
    ("goal",),
    ("stages", "result"),
    ("attempts", "ending", "replay"),
    ("tune",),
    ("pipeline",),
    ("api", "cli"),
    ("graphsurgeon",),
    ("__init__", "__main__"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

CONVERTERS = {
    f"graph/{name}.py"
    for name in (
        "load infer forward functions untrusted sizes save einsum parts remade shapes written numbers alike "
        "quantised repeated several enclosed loaded derive stand_ins casts"
    ).split()
}
WRITERS = {"emit"}
RUNNERS = {"runtime", "verify"}  # open finished models, original and result alike, to run them
DOORS = {
    "trial",
    "result",
    "pipeline",
    "graphsurgeon",
    "__init__",
}  # name the types of models that callers hand in


def _modules() -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def _layer(module: str) -> str:
    return module.split("/", maxsplit=1)[0].removesuffix(".py")


def _parse(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def _imports(module: str, nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Dotted names that the import statements among `nodes` name, relative ones made absolute."""
    home = [PACKAGE, *module.split("/")[:-1]]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = home[: len(home) - node.level + 1] if node.level else []
            base = ".".join([*start, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _layers_used(module: str) -> set[str]:
    names = (name.split(".") for name in _imports(module, ast.walk(_parse(module))))
    return {parts[1] for parts in names if parts[0] == PACKAGE and len(parts) > 1}


def _libraries(module: str) -> set[str]:
    return {name.split(".")[0] for name in _imports(module, ast.walk(_parse(module)))}


def test_every_module_has_a_layer() -> None:
    assert {_layer(module) for module in _modules()} <= set(RANK)


@pytest.mark.parametrize("module", _modules())
def test_imports_go_one_way(module: str) -> None:
    own = _layer(module)
    allowed = {own} | {name for name in RANK if RANK[name] < RANK[own]}
    backwards = {layer for layer in _layers_used(module) & set(RANK) if layer not in allowed}
    assert backwards == set()


@pytest.mark.parametrize("module", _modules())
def test_only_few_modules_know_onnx_and_its_runtime(module: str) -> None:
    libraries = _libraries(module)
    knows_onnx = module in CONVERTERS or _layer(module) in WRITERS | RUNNERS | DOORS
    assert knows_onnx or not libraries & {"onnx", "onnx_ir"}
    assert "onnxruntime" not in libraries or _layer(module) == "runtime"
    assert not libraries & {"torch", "transformers", "diffusers"}


@pytest.mark.parametrize("module", _modules())
def test_onnxruntime_is_imported_only_when_it_is_needed(module: str) -> None:
    on_import = {name.split(".")[0] for name in _imports(module, _parse(module).body)}
    assert "onnxruntime" not in on_import
