"""The picture of `tools.slowdown`: predicted against measured slowdown, with the band that is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

Dot: TypeAlias = tuple[str, str, float, float]  # model, form, predicted, measured

BAND = 0.05  # of the original's time, to both sides
MARGIN = 0.05
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
MARKERS = ("o", "s", "^", "D")


def draw(dots: Sequence[Dot], file: Path, title: str) -> None:
    """Write the picture, as SVG or PNG by the file's ending; the same dots give the same file."""
    import matplotlib as mpl  # noqa: PLC0415 - half a second, and only a picture needs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    models, forms = list(dict.fromkeys(dot[0] for dot in dots)), list(dict.fromkeys(dot[1] for dot in dots))
    with mpl.rc_context({"svg.hashsalt": "slowdown", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(5.2, 5.0), layout="constrained")
        axes = figure.add_subplot(
            title=title, xlabel="measured: time of the plan / of the original", ylabel="predicted", aspect=1
        )
        ends = _ends([number for _, _, *both in dots for number in both])
        axes.plot(ends, ends, color="#888888", linewidth=0.8)
        axes.fill_between(
            ends, [end - BAND for end in ends], [end + BAND for end in ends], color="#dddddd", linewidth=0
        )
        for model, form, predicted, measured in dots:
            colour, marker = COLOURS[models.index(model) % 4], MARKERS[forms.index(form) % 4]
            axes.plot(measured, predicted, marker, color=colour, markersize=5, alpha=0.8)
        for at, model in enumerate(models):
            axes.plot([], [], "o", color=COLOURS[at % 4], label=model)
        for at, form in enumerate(forms):
            axes.plot([], [], MARKERS[at % 4], color="#555555", fillstyle="none", label=form)
        axes.set(xlim=ends, ylim=ends)
        axes.legend(fontsize=8, loc="upper left")
        figure.savefig(file, dpi=110, metadata={"Date": None} if file.suffix == ".svg" else None)


def _ends(numbers: Sequence[float]) -> tuple[float, float]:
    return min([0.9, *numbers]) - MARGIN, max([1.1, *numbers]) + MARGIN
