"""The page: a Story's sections as one self-contained HTML document.

`page.html` turns blocks into elements and escapes every string; nothing else here writes a tag.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fettle.pages import SECTIONS, words
from fettle.pages.blocks import Section, Story
from fettle.pages.verdict import headings

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["page", "sheet"]


def page(story: Story) -> str:
    """One HTML page that opens offline, without scripts; the same Story gives the same bytes."""
    sections = [made for make in SECTIONS.values() if (made := make(story)) is not None]
    subtitle = (
        f"{words.public(story.plan.model)}, tuned on {words.public(story.dataset.name)}: "
        f"{words.count(story.dataset.rows, 'row')}, {story.answers}"
    )
    return sheet(
        sections, name=story.plan.name, subtitle=subtitle, heading=headings(story),
        kicker=("fettle report", "plan", story.plan.id),
    )


def sheet(
    sections: Sequence[Section], *, name: str, subtitle: str, heading: tuple[str, str],
    kicker: tuple[str, str, str],
) -> str:
    """One HTML page of these sections.

    Args:
        name: what the page is about.
        subtitle: in a line.
        heading: the verdict in a word, and its tone.
        kicker: what kind of page it is; then a word and the id that it stands for.
    """
    css = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    html = _template().render(
        name=words.clip(name, 80), subtitle=subtitle, word=heading[0], tone=heading[1],
        sections=sections, css=css, kicker=kicker,
    )
    return html.strip() + "\n"


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )
    return environment.get_template("page.html")
