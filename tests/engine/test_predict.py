import numpy as np
import pytest
import torch

from fettle.core.progress import Progress, finish
from fettle.engine import predict
from fettle.engine.predict import outputs_of, taps_of
from small import encoder, network, texts


@pytest.fixture
def small(tmp_path):
    return network(tmp_path)


def one_by_one(small, read, items, ask):
    with torch.no_grad():
        return np.concatenate([ask(small, read.collate([item])).numpy() for item in items])


def test_outputs_stand_in_the_order_of_the_rows_however_they_were_batched(small, monkeypatch):
    monkeypatch.setattr(predict, "BUDGET", 20)
    read = encoder(small.card)
    items = read.encode(texts(40))
    events = list(outputs_of(small, read, items, precision="fp32"))
    assert len(events) > 10
    assert isinstance(events[-1], Progress)
    assert events[-1].done == events[-1].total == 40
    found = finish(outputs_of(small, read, items, precision="fp32"))
    assert found.dtype == np.float32
    expected = one_by_one(small, read, items, lambda net, batch: net(batch))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_taps_stand_in_the_order_of_the_rows_and_need_no_head(small, monkeypatch):
    monkeypatch.setattr(predict, "BUDGET", 20)
    small.head = None
    read = encoder(small.card)
    items = read.encode(texts(40))
    found = finish(taps_of(small, read, items, names=("mean", "max"), precision="fp32"))
    assert found.keys() == {"mean", "max"}
    for name in found:
        expected = one_by_one(
            small, read, items, lambda net, batch, name=name: net.taps(batch, (name,))[name]
        )
        np.testing.assert_allclose(found[name], expected, atol=1e-5)


def test_bf16_gives_nearly_the_same_in_fp32_arrays(small):
    read = encoder(small.card)
    items = read.encode(texts(256))
    full = finish(outputs_of(small, read, items, precision="fp32"))
    half = finish(outputs_of(small, read, items, precision="bf16"))
    assert half.dtype == np.float32
    assert 0 < np.abs(full - half).max() < 3e-2 * np.abs(full).max()
    assert (full.argmax(1) == half.argmax(1)).mean() > 0.97
