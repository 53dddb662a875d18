import pytest

from fettle import options
from fettle.core.errors import SettingError


def test_what_is_not_asked_for_is_not_there():
    assert options.asked() == {}
    assert options.asked(label_smoothing=0.0, reinit_top=0) == {
        "label_smoothing": 0.0, "reinit_top": 0,
    }


def test_a_learning_rate_is_a_number_or_is_found():
    assert options.asked(learning_rate="1e-3") == {"rate": "1e-3"}
    assert options.asked(learning_rate="find") == {"rate_by": "find"}


def test_every_other_setting_is_a_line_with_its_value():
    assert options.asked(schedule="linear", others=["dropout=0.2", " clip = 5 "]) == {
        "schedule": "linear", "dropout": "0.2", "clip": "5",
    }


@pytest.mark.parametrize("line", ["dropout", "dropout=", "=3", ""])
def test_a_line_without_name_or_value_is_answered_with_an_example(line):
    with pytest.raises(SettingError, match=r"--set dropout=0\.2"):
        options.asked(others=[line])


def test_what_is_asked_for_twice_is_not_guessed():
    with pytest.raises(SettingError, match="schedule is asked for twice"):
        options.asked(schedule="linear", others=["schedule=cosine"])
