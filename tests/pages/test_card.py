import re

import pytest
import yaml

from fettle.pages.card import card, literal
from nouns import SECRET, bare, hostile, many, story


def head(text: str) -> dict:
    """The YAML between the first two rules."""
    return yaml.safe_load(text.split("---\n")[1])


@pytest.mark.parametrize("make", [story, bare, hostile, lambda: story(many(), rows=16_000)])
def test_the_head_of_a_card_is_yaml_with_what_hubs_ask_for(make):
    made = make()
    values = head(card(made))
    assert values["library_name"] == "fettle"
    assert values["pipeline_tag"] == "text-classification"
    assert "license" in values
    assert "language" not in values
    (model,) = values["model-index"]
    (result,) = model["results"]
    assert result["task"]["type"] == "text-classification"
    assert result["dataset"]["type"]
    assert result["dataset"]["name"]
    assert [metric["type"] for metric in result["metrics"]] == [
        "accuracy", "precision", "recall", "f1"]
    accuracy = made.kept.score("accuracy")
    assert result["metrics"][0]["value"] == pytest.approx(accuracy.value, abs=1e-6)
    assert f"{accuracy.low:.3f} to {accuracy.high:.3f}, {accuracy.rows} row" in (
        result["metrics"][0]["name"].replace(",0", "0").replace("1,2", "12").replace("2,0", "20"))


def test_a_hostile_name_is_data_in_the_head_and_in_the_text():
    text = card(hostile())
    assert head(text)["model-index"][0]["name"] == "</script><script>alert(1)</script>"
    assert "<" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    assert not re.search(r"(?<!\\)\{\{", text)
    assert "fettle predict NAME " in text


def test_a_card_says_what_a_reader_needs_and_no_text_of_a_row():
    text = card(story())
    for title in ("Intended use", "Training data", "Evaluation", "Limits", "How to use"):
        assert f"\n## {title}\n" in text
    assert "| accuracy | 0.843 (0.821 to 0.862) | 0.705 (0.679 to 0.730) |" in text
    assert 'fettle predict tickets "' in text
    assert SECRET not in text
    assert "/home/" not in text


@pytest.mark.parametrize(
    ("text", "safe"),
    [("<b>", "&lt;b&gt;"), ("a_b*", r"a\_b\*"), ("[x](y)", r"\[x\](y)"), ("$x$", r"\$x\$"),
     ("https://x.y", r"https\://x.y"), ("www.x.y", r"www\.x.y"), ("a|b", r"a\|b"),
     ("- x", r"\- x"), ("1. x", r"1\. x"), ("x & y", "x &amp; y")],
)
def test_markdown_reads_user_text_as_text(text, safe):
    assert literal(text) == safe
