"""What `--augment` says, of pictures and of texts, and how what cannot be is answered."""

import pytest

from fettle.core.errors import SettingError, UnknownName
from fettle.core.plan import Texts
from fettle.modalities import wording
from fettle.modalities.asked import asked_for

NAMES, NUMBERS = ("none", "light", "trivial"), ("mixup", "views")


def read(text):
    return asked_for(text, names=NAMES, numbers=NUMBERS, kind="pictures")


def test_a_name_and_numbers_in_any_order():
    assert read("trivial, mixup = 0.2") == ("trivial", {"mixup": 0.2})
    assert read("views=4,light") == ("light", {"views": 4.0})
    assert read("mixup=1") == (None, {"mixup": 1.0})


@pytest.mark.parametrize(("text", "says"), [
    ("trivail", "Did you mean 'trivial'"), ("mixpu=1", "Did you mean 'mixup'"),
    ("mixup", "mixup=0.2"), ("light=1", "such as light"), ("mixup=much", "a number from 0 on"),
    ("mixup=-1", "a number from 0 on"), ("mixup=inf", "a number from 0 on"),
    ("mixup=1,mixup=2", "give one"), ("light,trivial", "give one"), ("", "No augmentation"),
])
def test_what_cannot_be_is_answered_with_what_can(text, says):
    with pytest.raises((SettingError, UnknownName), match=says):
        read(text)


def test_texts_are_left_alone_unless_it_is_asked_for_and_the_reason_is_told():
    assert wording.changed(None, columns=1) == (None, wording.NONE)
    assert "Wei and Zou" in wording.NONE
    assert wording.changed("none", columns=1)[0] is None
    assert wording.changed("deletion=0", columns=1)[0] is None
    made, why = wording.changed("deletion=0.1,swap=0.2", columns=1)
    assert made == Texts(deletion=0.1, swap=0.2)
    assert "replay" in why


@pytest.mark.parametrize(("text", "columns", "says"), [
    ("deletion=1", 1, "a share of the words"), ("swap=0.1", 2, "2 columns"),
    ("none,mask=0.1", 1, "give one of the two"), ("trivial", 1, "augmentation of texts"),
])
def test_texts_that_cannot_be_changed_so_are_refused(text, columns, says):
    with pytest.raises((SettingError, UnknownName), match=says):
        wording.changed(text, columns=columns)
