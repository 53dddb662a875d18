"""What a page shows of rows that are pictures: confused pairs, and maps of what answers hang on."""

from dataclasses import replace

import pytest

from fettle.core.evaluation import LookAt
from fettle.core.pictures import Illustration
from fettle.core.plan import Pictures, Rung
from fettle.pages.blocks import Gallery, Table, Text
from fettle.pages.choices import choices
from fettle.pages.confusion import confusion
from fettle.pages.costs import costs
from fettle.pages.latency import latency
from fettle.pages.look_at import look_at
from fettle.pages.network import _numbered
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


def test_a_page_of_pictures_speaks_of_pictures():
    made = story()
    rungs = (Rung("full", {"rate": 0.001, "word_embeddings": "frozen"}),)
    plan = replace(made.plan, modality="image", pictures=Pictures(224), rungs=rungs)
    for one, section, of_texts, of_pictures in (
        (made, latency, "from text to answer", ""), (made, costs, "the real tokens", ""),
        (replace(made, plan=plan), latency, "", "from picture to answer"),
        (replace(made, plan=plan), costs, "", "learning from the pictures asks for"),
    ):
        said = " ".join(text.text for text in of(section(one), Text))
        assert of_texts in said
        assert of_pictures in said
    (table,) = of(choices(replace(made, plan=plan)), Table)
    assert [cell.text for cell in table.lines[0]] == ["full", "rate 0.001"]


@pytest.mark.parametrize(("blocks", "numbered"), [
    (4, [0, 1, 2, 3]), (14, [*range(14)]), (20, [*range(0, 17, 2), 19]), (1, [0]),
])
def test_numbers_under_blocks_do_not_touch(blocks, numbered):
    assert _numbered(blocks) == numbered
