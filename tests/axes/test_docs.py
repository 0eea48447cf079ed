"""The pages about rules: each block of code prints what stands below it, each link leads somewhere."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from onnx_autochunk.axes import registry

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (DOCS / "operators.md", DOCS / "adding-an-operator.md")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`(\w+/[\w/]+(?:\.\w+|/))`")
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def _blocks(page: Path) -> Iterator[tuple[str, str]]:
    """(language, text) of each block."""
    yield from _BLOCK.findall(page.read_text(encoding="utf-8"))


def _cells(page: Path) -> Iterator[tuple[str, str]]:
    """(code, what it prints): a block of `text` shows the output of the block of Python before it."""
    blocks = list(_blocks(page))
    for (language, code), (following, shown) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language == "python":
            yield code, shown if following == "text" else ""


def _printed(code: str, names: dict[str, object]) -> str:
    """What the code prints; an error ends it and is its last line."""
    page = io.StringIO()
    with redirect_stdout(page):
        try:
            exec(code, names)
        except Exception as error:
            page.write(f"{type(error).__name__}: {error}\n")
    return page.getvalue()


def test_every_block_prints_what_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
    cells = list(_cells(DOCS / "adding-an-operator.md"))
    names: dict[str, object] = {"__name__": __name__}
    assert [_printed(code, names) for code, _ in cells] == [shown for _, shown in cells]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_are_code_or_its_output(page: Path) -> None:
    languages = [language for language, _ in _blocks(page)]
    pairs = set(zip(["", *languages], languages, strict=False))
    assert set(languages) <= {"python", "text"}
    assert not {before for before, language in pairs if language == "text"} - {"python"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = set(_LINK.findall(page.read_text(encoding="utf-8")))
    assert {link for link in links if not (page.parent / link).is_file()} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    named = set(_FILE.findall(page.read_text(encoding="utf-8")))
    assert {name for name in named if not (ROOT / name).exists()} == set()
