"""`reinit_top`: the last blocks begin at random."""

import pytest
import torch

from fettle.core.errors import SettingError
from fettle.strategies import DEFAULTS, STRATEGIES
from strategies.stepping import small


@pytest.mark.parametrize("name", ["top", "gradual", "full", "wise", "l2sp"])
def test_just_the_last_blocks_begin_at_random(tmp_path, name):
    came = small(tmp_path)
    before = {key: value.clone() for key, value in came.state_dict().items()}
    strategy = STRATEGIES[name]({**DEFAULTS[name], "reinit_top": 2})
    found = strategy.prepare(came)
    changed = {found.block_of(key) for key, value in found.state_dict().items()
               if not torch.equal(value, before[key])}  # fmt: skip
    assert changed == {3, 4}  # of 0, the embeddings, to 5, the head
    assert strategy.reworks


def test_without_it_nothing_is_changed(tmp_path):
    for name in ("top", "gradual", "full"):
        strategy = STRATEGIES[name](DEFAULTS[name])
        came = small(tmp_path / name)
        before = {key: value.clone() for key, value in came.state_dict().items()}
        found = strategy.prepare(came)
        assert all(torch.equal(value, before[key]) for key, value in found.state_dict().items())
        assert not strategy.reworks


def test_what_begins_at_random_must_learn():
    with pytest.raises(SettingError, match="must learn"):
        STRATEGIES["top"]({**DEFAULTS["top"], "top_blocks": 1, "reinit_top": 2})
    strategy = STRATEGIES["gradual"]({**DEFAULTS["gradual"], "reinit_top": 3})
    assert [rate > 0 for rate in strategy.rates(6, 0)] == [False, False, True, True, True, True]
    assert [rate > 0 for rate in strategy.rates(6, 3)][:2] == [False, True]


def test_there_must_be_so_many_blocks(tmp_path):
    strategy = STRATEGIES["full"]({**DEFAULTS["full"], "reinit_top": 5})
    with pytest.raises(SettingError, match="has 4 blocks"):
        strategy.prepare(small(tmp_path))
