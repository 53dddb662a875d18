"""The report, one section a file. To add a section: write its file, add its line.

A section turns a Story into blocks, `document.page` turns blocks into one self-contained page, and
`card.card` turns the same Story into a model card. No section reads a row's text.
"""

from collections.abc import Callable

from fettle.pages.abstention import abstention
from fettle.pages.blocks import Section, Story
from fettle.pages.by_class import by_class
from fettle.pages.calibration import calibration
from fettle.pages.choices import choices
from fettle.pages.confusion import confusion
from fettle.pages.contenders import contenders
from fettle.pages.costs import costs
from fettle.pages.findings import findings
from fettle.pages.fitting import fitting
from fettle.pages.flow import flow
from fettle.pages.forgotten import forgotten
from fettle.pages.headline import headline
from fettle.pages.honesty import honesty
from fettle.pages.ladder import ladder
from fettle.pages.latency import latency
from fettle.pages.learning import learning
from fettle.pages.look_at import look_at
from fettle.pages.more_data import more_data
from fettle.pages.network import network
from fettle.pages.range_test import range_test
from fettle.pages.residuals import residuals
from fettle.pages.sides import sides
from fettle.pages.slices import slices
from fettle.pages.verdict import verdict

__all__ = ["SECTIONS"]

SECTIONS: dict[str, Callable[[Story], Section | None]] = {
    "verdict": verdict,
    "headline": headline,
    "flow": flow,
    "contenders": contenders,
    "data": findings,
    "split": sides,
    "rungs": ladder,
    "network": network,
    "range-test": range_test,
    "learning": learning,
    "fitting": fitting,
    "classes": by_class,
    "confusion": confusion,
    "residuals": residuals,
    "slices": slices,
    "calibration": calibration,
    "abstention": abstention,
    "look-at": look_at,
    "more-data": more_data,
    "forgotten": forgotten,
    "plan": choices,
    "costs": costs,
    "latency": latency,
    "honesty": honesty,
}
"""In the order of the page. A section that has nothing to show gives None."""
