import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fettle.core.run import Run
from fettle.pages import SECTIONS
from fettle.pages.blocks import Story
from fettle.pages.confusion import RIGHT, WRONG
from fettle.pages.document import page
from markup import Reader
from nouns import HOSTILE, SECRET, bare, hostile, many, story

TAGS = {
    *("html", "head", "meta", "link", "title", "style", "body", "header", "nav", "main"),
    *("section", "article", "h1", "h2", "h3", "p", "ol", "ul", "li", "a", "span", "bdi", "b"),
    *("code", "div", "table", "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd", "figure"),
    *("figcaption", "details", "summary"),
    *("svg", "g", "path", "defs", "use", "text", "image", "clippath", "rect"),
}
"""Every element that a page may hold."""

STORIES = {
    "six": story,
    "seventy-seven": lambda: story(many(), rows=16_000, name="banking"),
    "hostile": hostile,
    "bare": bare,
}


@pytest.fixture(scope="module", params=STORIES)
def told(request: pytest.FixtureRequest) -> tuple[Story, str]:
    made = STORIES[request.param]()
    return made, page(made)


def test_a_page_holds_no_script_no_handler_and_no_address_outside_itself(told):
    _, html = told
    read = Reader(html)
    assert read.tags <= TAGS
    assert read.open == []
    assert not [name for _, name, _ in read.attributes if name.startswith("on")]
    for link in read.values("href", "src", "xlink:href", "action"):
        assert link.startswith(("#", "data:,", "data:image/png;base64,")), link
    assert "//" not in re.sub(r"base64,[\w+/=]+", "", html)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in read.values("content")


def test_ids_are_unique_and_every_reference_finds_its_own(told):
    _, html = told
    read = Reader(html)
    ids = read.values("id")
    assert len(ids) == len(set(ids))
    used = [link[1:] for link in read.values("href") if link.startswith("#")]
    used += re.findall(r"url\(#([^)]+)\)", html)
    assert set(used) <= set(ids)


def test_a_page_is_small_and_holds_no_row_text_and_no_folder_of_its_owner(told):
    _, html = told
    assert len(html.encode()) < 300_000
    assert SECRET not in html
    assert "/home/" not in html
    assert "anna" not in html


def test_the_same_story_gives_the_same_bytes_in_another_process():
    code = "import nouns; from fettle.pages.document import page; print(page(nouns.bare()), end='')"
    folder = Path(__file__).parents[1]
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, cwd=folder,
        env={"PYTHONHASHSEED": "5", "PYTHONIOENCODING": "utf-8"},
    )
    assert other.stdout.decode() == page(bare())


def test_importing_the_pages_imports_no_library_that_only_drawing_needs():
    code = (
        "import sys, fettle.pages, fettle.pages.document, fettle.pages.card; "
        "print([name for name in ('matplotlib', 'jinja2', 'yaml') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize("label", [one for one in HOSTILE if len(one) < 40 and "\x00" not in one])
def test_a_hostile_label_is_shown_as_it_is_and_does_nothing(label):
    seen = " ".join(Reader(page(hostile())).text)
    shown = label.replace("\u202e", "�").replace("\u202c", "�")
    assert shown in seen
    assert " 49 " not in seen


def test_a_label_of_300_characters_is_cut_where_one_sees_it():
    read = Reader(page(hostile()))
    shown = [text for text in read.text if text.startswith("long xxx")]
    assert len(shown) > 5
    labels = [text for text in shown if not text.endswith("x")]
    assert all(len(text) <= 80 and "x…" in text for text in labels)


def test_every_score_of_a_table_stands_over_its_interval_and_rows(told):
    made, html = told
    for one in made.evaluation.contenders:
        for score in one.scores:
            if score.name in ("accuracy", "macro_f1"):
                interval = f"{score.low:.3f} to {score.high:.3f} · n\u00a0{score.rows:,}"
                assert interval in html


def test_sections_without_anything_to_show_are_not_on_the_page():
    whole, little = Reader(page(story())), Reader(page(bare()))
    of_classes = [id for id in SECTIONS if id != "residuals"]
    assert [id for id in whole.values("id") if id in SECTIONS] == of_classes
    assert not {"learning", "latency"} & set(little.values("id"))


def test_a_page_tells_of_every_class_row_and_reason():
    html = page(story(many(), rows=16_000))
    assert all(label in html for label in many())
    seen = " ".join(Reader(page(story())).text)
    for word in ("uses training labels", "tickets.csv:411", "The record has 5 cells",
                 "lora was not climbed", "not climbed", "4 min 24 s", "5 min 01 s", "2.48 GB",
                 "opened once", "beef" * 16, "fettle 0.1.0", "p < 0.001".replace(" ", "\u00a0"),
                 "191 won, 24 lost", "customer_id", "9 rows"):
        assert word in seen, word


def test_a_ladder_without_its_plan_rungs_or_predictions_is_still_told():
    made = story()
    run = Run(made.run.plan, made.run.folder, made.run.rungs[-1:], "full", "")
    plan = replace(made.plan, rungs=(), predicted=(), reasons=())
    seen = " ".join(Reader(page(replace(made, run=run, plan=plan))).text)
    assert "it states no reasons" in seen
    assert "4 min 24 s" in seen


def luminance(color: np.ndarray) -> float:
    """WCAG 2.2, relative luminance of sRGB from 0 to 1."""
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_text_can_be_read_on_every_ground(theme):
    css = re.search("<style>(.*)</style>", page(bare()), re.DOTALL)[1]
    found = re.findall(r"--(\w+): (#[0-9a-f]{6})", css)
    half = len(found) // 2
    colors = {
        name: np.array([int(value[place : place + 2], 16) / 255 for place in (1, 3, 5)])
        for name, value in found[theme * half : (theme + 1) * half]
    }
    for name in ("ink", "muted", "accent", "good", "bad", "warn"):
        for ground in ("paper", "shade"):
            assert contrast(colors[name], colors[ground]) >= 4.5, (name, ground)
    for cell in (RIGHT, WRONG):
        blend = 0.6 * np.array(cell) + 0.4 * colors["paper"]
        assert contrast(colors["ink"], blend) >= 4.5
