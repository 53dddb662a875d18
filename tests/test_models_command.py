"""`fettle models`: a short choice, what lies here, and what would fetch the rest."""


from fettle.models.known import KNOWN
from fettle.models.sources import DEFAULT_MODELS


def test_the_choice_says_size_licence_and_how_to_fetch(fettle):
    said = fettle("models")
    assert said.code == 0
    for one in KNOWN:
        assert one.name in said.out
        assert one.licence in said.out
    assert "hf download timm/resnet50.a1_in1k" in said.out
    assert "package.module:factory" in said.out


def test_as_json_each_says_whether_it_lies_here(fettle):
    said = fettle("models", "--json").json
    assert {one["name"] for one in said} == {one.name for one in KNOWN}
    assert all(isinstance(one["here"], bool) for one in said)


def test_the_defaults_are_among_them():
    assert set(DEFAULT_MODELS.values()) <= {one.name for one in KNOWN}
