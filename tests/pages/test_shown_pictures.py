"""What a page shows of rows that are pictures: confused pairs, and maps of what answers hang on."""

from dataclasses import replace

import pytest

from fettle.core.evaluation import LookAt
from fettle.core.pictures import Illustration
from fettle.pages.blocks import Gallery, Table, Text
from fettle.pages.confusion import confusion
from fettle.pages.look_at import look_at
from nouns import story

THUMBNAIL, MAP = "data:image/jpeg;base64,AA", "data:image/jpeg;base64,BB"


def of(section, kind):
    """The blocks of one kind."""
    return [block for block in section.blocks if isinstance(block, kind)]


def test_confused_pairs_are_shown_with_the_pictures_that_the_model_is_surest_of():
    made = story()
    (table,), labels = of(confusion(made), Table), made.evaluation.labels
    (true, taken), (second, third) = ([cell.text for cell in line[:2]] for line in table.lines[:2])
    rows = (LookAt("last.png", "wrong and sure", second, third, 0.99),
            *(LookAt(f"p/{at}.png", "wrong and sure", true, taken, 0.9) for at in range(5)),
            LookAt("v.png", "suspected label", true, taken, 0.9),
            LookAt("hidden.png", "wrong and sure", second, third, 0.9),
            LookAt("right.png", "wrong and sure", labels[0], labels[0], 0.9))
    shown = {row.id: Illustration(THUMBNAIL, MAP) for row in rows if row.id != "hidden.png"}
    assert not of(confusion(made), Gallery)
    evaluation = replace(made.evaluation, look_at=rows)
    (gallery,) = of(confusion(replace(made, evaluation=evaluation, illustrations=shown)), Gallery)
    assert [(id_, said) for _, id_, said in gallery.shown] == [
        *((f"p/{at}.png", f"{true}, taken for {taken}") for at in range(3)),
        ("last.png", f"{second}, taken for {third}")]
    assert {one.looked for one, *_ in gallery.shown} == {""}  # maps stand once, further down


@pytest.mark.parametrize(("maps", "said", "unsaid"), [
    (2, "bright where it hangs on what is there.", "no time"),
    (1, "For 1 row there was no time to make it.", "too long"),
    (0, "it would have taken too long", "second picture"),
])
def test_rows_without_a_map_are_counted(maps, said, unsaid):
    made = story()
    rows = tuple(LookAt(f"{at}.png", "wrong and sure", "a", "b", 0.9) for at in range(2))
    shown = {row.id: Illustration(THUMBNAIL, MAP if at < maps else "")
             for at, row in enumerate(rows)}
    evaluation = replace(made.evaluation, look_at=rows)
    text, *_ = of(look_at(replace(made, evaluation=evaluation, illustrations=shown)), Text)
    assert said in text.text
    assert unsaid not in text.text
