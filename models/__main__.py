"""Exports one example model: `python -m models gpt2 gpt2.onnx --layers 4 --tokens 4096`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import click
import torch

from models.export import Example, export, seeded

MODELS = ("gpt2", "bert", "vit", "evoformer", "unet", "neighbours", "pooling")


class Models(click.Group):
    """One command a model; a model's library is imported only when its command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names of the models."""
        return list(MODELS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command of one model."""
        return model_command(cmd_name) if cmd_name in MODELS else None


def model_command(name: str) -> click.Command:
    """Makes a command of a model's `build`: its keyword arguments become options."""
    build: Callable[..., Example] = import_module(f"models.{name}").build

    def write(
        out: Path, opset: int, dtype: str, seed: int, quantized: bool, verbose: bool, **sizes: int | bool
    ) -> None:
        example = seeded(build, seed, getattr(torch, dtype), **sizes)
        exported = export(example, out, opset=opset, verbose=verbose)
        if quantized:
            import_module("models.quantize").quantize(out, example.inputs)
        click.echo(exported)

    return click.Command(
        name,
        callback=write,
        params=[*COMMON, *map(size_option, inspect.signature(build).parameters.values())],
        help=inspect.getdoc(build),
        context_settings={"show_default": True},
    )


def size_option(parameter: inspect.Parameter) -> click.Option:
    """An option for one keyword argument: a flag for a bool, a number for an int."""
    return click.Option(
        [f"--{parameter.name}"], default=parameter.default, is_flag=isinstance(parameter.default, bool)
    )


COMMON: tuple[click.Parameter, ...] = (
    click.Argument(["out"], type=click.Path(dir_okay=False, path_type=Path)),
    click.Option(["--opset"], default=20, help="ONNX opset version."),
    click.Option(["--dtype"], type=click.Choice(["float32", "float16", "bfloat16"]), default="float32"),
    click.Option(["--quantized"], is_flag=True, help="Quantise products and convolutions to 8 bits."),
    click.Option(["--seed"], default=0, help="Seed of the random weights."),
    click.Option(["-v", "--verbose"], is_flag=True, help="Show what the exporter prints."),
)


@click.command(cls=Models)
def main() -> None:
    """Export an example model with seeded random weights to ONNX."""


if __name__ == "__main__":
    main()
