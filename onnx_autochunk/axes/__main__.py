"""`python -m onnx_autochunk.axes`: the rule of every operator, and on how many calls it is proved."""

from __future__ import annotations

import click
from rich.console import Console

from onnx_autochunk.axes import table


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("operators", metavar="[OPERATOR]...", nargs=-1)
@click.option("--domain", metavar="NAME", help="Only operators of this domain: ai.onnx, com.microsoft.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects instead of tables.")
def main(*, operators: tuple[str, ...], domain: str | None, as_json: bool) -> None:
    """Prints which axes pass each OPERATOR when it is computed chunk by chunk: all, or those named.

    Names may hold wildcards ("Reduce*") and are matched in any case. The notation is explained in
    docs/operators.md.
    """
    found = table.rows(domain, operators)
    if not found:
        raise click.UsageError("no operator is called that; without arguments, all are listed")
    console = Console(highlight=False)
    if as_json:
        click.echo(table.to_json(found))
    elif console.is_terminal:
        console.print(table.render(found))
    else:
        click.echo(table.to_text(found), nl=False)


if __name__ == "__main__":
    main(prog_name="python -m onnx_autochunk.axes")
