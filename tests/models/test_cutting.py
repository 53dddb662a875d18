import json
from pathlib import Path

import pytest
import torch

from fettle.core.errors import SettingError
from fettle.models.cards import card_of
from fettle.models.cutting import cut
from fettle.models.network import open_network, open_saved
from foreign import saved
from small import HEAD, bert, encoder, texts


def batch_for(card):
    read = encoder(card)
    return read.collate(read.encode(texts(5)))


def test_a_shorter_network_gives_what_reaches_the_block_above_it(tmp_path):
    whole = bert(tmp_path, num_hidden_layers=4)
    short = card_of(str(tmp_path), keep_blocks=2)
    batch = batch_for(whole)
    network = open_network(short)
    assert network.blocks == 4
    assert not [name for name, _ in network.named_parameters() if "layer.2" in name]
    with torch.no_grad():
        tokens = network.taps(batch, ["tokens"])["tokens"]
        expected = open_network(whole).taps(batch, ["block 3"])["block 3"]
    assert torch.equal(tokens, expected)


def test_a_shorter_network_is_another_one_by_its_card(tmp_path):
    whole = bert(tmp_path, num_hidden_layers=4)
    short, shorter = cut(whole, 2), cut(whole, 1)
    assert len({whole.definition, short.definition, shorter.definition}) == 3
    assert (short.blocks, short.kept_blocks) == (2, 2)
    assert shorter.parameters < short.parameters < whole.parameters
    assert cut(whole, None) is whole
    assert cut(whole, 4) is whole


@pytest.mark.parametrize("kind", ["bert", "distilbert", "t5", "llama", "modernbert"])
def test_what_is_saved_short_is_opened_short_and_says_the_same(tmp_path, kind):
    if kind == "bert":
        bert(tmp_path / "came", num_hidden_layers=3)
        folder = tmp_path / "came"
    else:
        folder = saved(tmp_path, kind)
    whole = card_of(str(folder))
    card = card_of(str(folder), keep_blocks=1)
    network = open_network(card)
    network.set_head({**HEAD, "dropout": 0.0})
    assert len(network.block_names) == 1 < whole.blocks
    network.save(tmp_path / "saved")
    opened = open_saved({path.name: path for path in (tmp_path / "saved").iterdir()})
    ids = torch.arange(5, 15).reshape(2, 5)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        assert torch.equal(opened(batch), network.eval()(batch))


@pytest.mark.parametrize("keep", [0, -1, 5])
def test_blocks_that_are_not_there_cannot_be_kept(tmp_path, keep):
    whole = bert(tmp_path, num_hidden_layers=4)
    with pytest.raises(SettingError, match=r"--keep-blocks.*1 to 4"):
        cut(whole, keep)


def test_one_block_that_runs_again_and_again_cannot_be_left_away(tmp_path):
    whole = card_of(str(bert(tmp_path, num_hidden_layers=4).folder))
    path = Path(whole.folder) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_hidden_groups": 1}))
    with pytest.raises(SettingError, match="again and again"):
        cut(whole, 2)
