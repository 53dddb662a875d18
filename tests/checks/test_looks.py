"""Looks: what shows nothing, stands apart, or gives its label away by its form."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from fettle.checks.looks import looks
from fettle.core.audit import Severity
from fettle.core.dataset import Dataset, Schema
from fettle.stages.auditing import audit
from fettle.store.decoding import look
from pictures import CLASSES, drawn, encoded


def dataset(seen, labels):
    cells = [f"sha256:{at:064x}" for at in range(len(seen))]
    return Dataset(
        "d", pa.table({"picture": cells, "label": labels}),
        Schema("label", ("picture",), modality="image"),
        tuple(f"{at}.png" for at in range(len(seen))), ("",) * len(seen),
        looks=dict(zip(cells, seen, strict=True)),
    )


@pytest.fixture(scope="module")
def shapes():
    return [look(encoded(drawn(CLASSES[at % 3], seed=at))) for at in range(90)]


LABELS = [CLASSES[at % 3] for at in range(90)]


def findings(seen, labels=LABELS):
    return [one for one in audit(dataset(seen, labels)).findings if one.check == "looks"]


def test_whole_pictures_of_one_kind_have_no_finding(shapes):
    assert findings(shapes) == []


def test_a_picture_of_one_color_shows_nothing(shapes):
    flat = look(encoded(np.full((40, 40, 3), 120, np.uint8)))
    found, = findings([*shapes[:-1], flat])
    assert (found.severity, found.rows) == (Severity.WARN, ("89.png",))


@pytest.mark.parametrize("brightness", [0.01, 0.99])
def test_a_picture_nearly_black_or_white_is_told(shapes, brightness):
    found, = findings([replace(shapes[0], brightness=brightness), *shapes[1:]])
    assert found.rows == ("0.png",)


def test_a_blurred_picture_is_told(shapes):
    found, = findings([replace(shapes[0], sharpness=1e-8), *shapes[1:]])
    assert "blurred" in found.sentence
    assert found.rows == ("0.png",)


def test_a_tracking_pixel_is_told(shapes):
    found, = findings([replace(shapes[0], width=3, height=3), *shapes[1:]])
    assert "3 by 3" in found.sentence


def test_a_label_that_the_size_gives_away_is_a_warning(shapes):
    sizes = {"bar": 300, "disc": 200, "ring": 200}
    seen = [replace(one, width=sizes[label])
            for one, label in zip(shapes, LABELS, strict=True)]
    found, = findings(seen)
    assert found.severity is Severity.WARN
    assert "67%" in found.sentence
    assert "their size" in found.sentence


def test_sizes_that_are_all_different_tell_nothing(shapes):
    assert findings([replace(one, width=100 + at) for at, one in enumerate(shapes)]) == []


def test_every_picture_check_knows_only_what_was_seen(shapes):
    from fettle.checks.evidence import look as evidence_of

    assert looks(evidence_of(dataset(shapes, LABELS))).findings == ()


def test_identical_pixels_are_duplicates_and_a_copy_across_parts_a_leak(shapes):
    made = dataset([*shapes[:-1], shapes[0]], LABELS)
    made = replace(made, parts=("train",) * 89 + ("test",))
    names = {one.check for one in audit(made).findings}
    assert "leaks" in names
    assert audit(made).left_out, "the training row whose twin is tested is not learned from"
