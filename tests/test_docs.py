"""The course's pages: links lead somewhere, and the example of an initializer runs."""

import re
from pathlib import Path

import pytest

import minicnn

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_exist(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_every_page_is_in_the_course():
    course = (ROOT / "docs" / "README.md").read_text()
    assert not [page.name for page in PAGES if page.parent.name == "docs"
                and page.name != "README.md" and f"({page.name})" not in course]  # fmt: skip


def test_the_example_of_an_initializer_fades_as_theory_expects(capsys):
    text = (ROOT / "docs" / "laboratory.md").read_text()
    (block,) = [b for b in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "Timid" in b]
    exec(compile(block, "laboratory.md", "exec"), {"__name__": "laboratory"})
    printed = capsys.readouterr().out
    assert printed.startswith("fading signal") and "0 of 45 z-scores" in printed


def test_the_citation_is_of_this_version():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {minicnn.__version__}\n" in citation
    assert f"({minicnn.__version__})" in (ROOT / "CHANGELOG.md").read_text()
