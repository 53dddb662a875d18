"""Drawing: a painter in, one inline SVG out, the same bytes every time.

matplotlib is imported when something is drawn and not before. Colours are names of the page's
own (`var(--ink)`), so that a figure follows the page into the dark and onto paper. Text stays
text: never mathematics, never TeX, whatever a user's matplotlibrc says.
"""

import io
import logging
import re
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ACCENT", "BAD", "INK", "LINE", "MUTED", "PAPER", "draw", "plain_axes", "whiskers"]

INK = "#010101"
MUTED = "#020202"
LINE = "#030303"
ACCENT = "#040404"
BAD = "#050505"
PAPER = "#060606"

VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    ACCENT: "var(--accent)",
    BAD: "var(--bad)",
    PAPER: "var(--paper)",
}
"""What each colour becomes in the page; page.css gives it its value."""

SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fettle",
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 12,
    "axes.unicode_minus": True,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 1,
    "axes.formatter.useoffset": False,
    "grid.color": LINE,
    "grid.linewidth": 1,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
}

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"


def draw(
    name: str, title: str, paint: "Callable[[Figure], None]", *, width: int, height: int
) -> str:
    """One SVG element for the inside of an HTML page.

    Args:
        name: unlike every other figure's on the page; keeps their ids apart.
        title: what the figure shows, for those who do not see it.
        paint: puts axes and marks on the figure that it is handed.
        width: in CSS pixels; a page makes it a little smaller or larger, and then scrolls it.
        height: in CSS pixels.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    text = io.StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        figure.patch.set_visible(False)
        paint(figure)
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(text)
    return _inline(text.getvalue(), name, title, width, height)


def plain_axes(axes: "Axes", *, grid: str = "") -> None:
    """Axes with nothing on them but ticks' labels and, along one direction, a faint grid."""
    axes.patch.set_visible(False)
    axes.tick_params(length=0, pad=6)
    axes.set_axisbelow(True)
    if grid in ("x", "y"):
        axes.grid(visible=True, axis="x" if grid == "x" else "y")


def whiskers(
    axes: "Axes",
    lines: Sequence[tuple[float, float, float]],
    places: Sequence[float],
    *,
    color: str,
    filled: bool = True,
) -> None:
    """Points with their intervals, lying: (value, low, high), one at each height."""
    for (value, low, high), place in zip(lines, places, strict=True):
        axes.plot([low, high], [place, place], color=color, linewidth=2, solid_capstyle="round")
        face = color if filled else PAPER
        axes.plot(
            [value], [place], "o", markersize=8, markerfacecolor=face, markeredgecolor=color,
            markeredgewidth=2,
        )


def _inline(svg: str, name: str, title: str, width: int, height: int) -> str:
    """matplotlib's document as one element: no namespace, no date, no id that another has."""
    root = ElementTree.fromstring(svg)
    names = {
        used for element in root.iter() for value in element.attrib.values()
        for used in re.findall(r"^#([\w.-]+)$|url\(#([\w.-]+)\)", value) for used in used if used
    }
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{SVG}style", f"{SVG}metadata"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        element.tail = None
        if element.tag != "text" and element.text and not element.text.strip():
            element.text = None
        element.attrib = {
            key.replace(LINK, "href"): _attribute(key, value, name, element.tag)
            for key, value in element.attrib.items()
            if key != "id" or value in names
        }
    root.attrib = {
        "viewBox": f"0 0 {width} {height}",
        "role": "img",
        "aria-label": title,
        "style": f"min-width: {0.8 * width:.0f}px; max-width: {1.18 * width:.0f}px",
    }
    heading = ElementTree.Element("title")
    heading.text = title
    root.insert(0, heading)
    return ElementTree.tostring(root, encoding="unicode")


def _attribute(key: str, value: str, name: str, tag: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "style":
        for color, variable in VARIABLES.items():
            value = value.replace(color, variable)
        return value.replace("'DejaVu Sans', sans-serif", "var(--sans)")
    if value.startswith("#"):
        return f"#{name}-{value[1:]}"
    if value.startswith("url(#"):
        return f"url(#{name}-{value[5:]}"
    if tag == "image":
        return value.replace("\n", "") if key == LINK else value
    if key in ("d", "x", "y", "transform", "width", "height"):
        return re.sub(r"\d+\.\d{3,}", _short, value).replace(" \n", " ").strip()
    return value


def _short(found: re.Match[str]) -> str:
    return f"{float(found.group()):.2f}".rstrip("0").rstrip(".")
