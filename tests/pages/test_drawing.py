from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.figure import Figure

from fettle.pages.drawing import ACCENT, draw
from fettle.pages.words import clip
from nouns import HOSTILE


def line(label: str):
    """Paints one line whose every text is the label."""

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot([0, 1], [1, 0], color=ACCENT, label=label)
        axes.set_title(label)
        axes.set_yticks([0, 1], [label, label])
        axes.legend()

    return paint


@pytest.mark.parametrize("label", [*HOSTILE, "$x^2$", r"$\frac{$"])
def test_a_drawing_shows_any_label_as_text_and_never_reads_it(label):
    svg = draw("one", clip(label), line(clip(label, 90)), width=1200, height=300)
    root = ElementTree.fromstring(svg)
    assert {element.tag for element in root.iter()} <= {
        "svg", "title", "g", "path", "defs", "use", "text", "clipPath", "rect"}
    assert [text.text for text in root.iter("text")].count(clip(label, 90)) == 4
    assert root.get("role") == "img"
    assert root.get("aria-label") == root.findtext("title") == clip(label)


def test_a_drawing_follows_the_colours_and_the_font_of_its_page():
    svg = draw("one", "A line.", line("label"), width=1200, height=300)
    assert "var(--accent)" in svg
    assert "var(--sans)" in svg
    assert "#0" not in svg
    assert "http" not in svg


def test_the_same_drawing_gives_the_same_bytes_and_two_never_share_an_id():
    first, again, other = (
        draw(name, "A line.", line("label"), width=1200, height=300) for name in ("a", "a", "b")
    )
    assert first == again

    def ids(svg: str) -> set[str]:
        return {e.get("id") for e in ElementTree.fromstring(svg).iter() if e.get("id")}

    assert ids(first)
    assert not ids(first) & ids(other)


def test_what_a_user_told_matplotlib_neither_reaches_a_drawing_nor_is_changed_by_it():
    plain = draw("one", "A line.", line("$x$"), width=1200, height=300)
    with matplotlib.rc_context({"text.usetex": True, "font.size": 40, "axes.facecolor": "red"}):
        assert draw("one", "A line.", line("$x$"), width=1200, height=300) == plain
        assert matplotlib.rcParams["text.usetex"] is True
        assert matplotlib.rcParams["font.size"] == 40
