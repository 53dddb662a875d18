import dataclasses
import json
import os
import subprocess
import sys

import pytest
import torch

from fettle.core.plan import Attention, Machine, Products, Threads
from fettle.engine import calibrate, probes
from fettle.engine.device import cores
from fettle.store import records

from .probing import small


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(calibrate, "LENGTHS", (16, 32))
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0, 0))
    monkeypatch.setattr(probes, "attended", lambda _: 1.0)
    with small():
        yield


def storm(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (1e9, 0, 0))


def kept(folder, **changes):
    """The one file in the cache, changed."""
    (path,) = folder.iterdir()
    records.save(path, dataclasses.replace(records.load(path, Machine), **changes))


def test_a_machine_is_measured_once_and_kept(tmp_path, monkeypatch):
    first = calibrate.machine(tmp_path)
    assert first.calm
    assert first.memory_bytes > 2**28
    monkeypatch.setattr(probes, "products", lambda: pytest.fail("it was measured again"))
    assert calibrate.machine(tmp_path) == first


def test_every_number_is_there_and_every_choice_follows_from_them(tmp_path, monkeypatch):
    monkeypatch.setattr(calibrate, "pays", lambda *_, **__: True)  # so that bf16 is probed too
    found = calibrate.machine(tmp_path)
    assert [one.tokens for one in found.products] == [64, 8, 8, 16]
    assert found.flops_fp32 == found.flops("fp32") == max(one.fp32 for one in found.products)
    assert found.flops_bf16 == found.flops("bf16") == max(one.bf16 or 0 for one in found.products)
    assert [one.threads for one in found.tried] == list(calibrate._counts(cores()))
    assert found.threads == calibrate.best_threads(found.tried)
    assert [(one.precision, one.tokens) for one in found.attention] == [
        ("fp32", 16), ("fp32", 32), ("bf16", 16), ("bf16", 32)]
    assert found.math_below("fp32") == calibrate.math_below(found.attention[:2])
    assert found.math_below("bf16") == calibrate.math_below(found.attention[2:])
    for rate in (found.flops_fp32, found.flops_bf16, found.optimizer_seconds,
                 found.memory_bytes_per_second, found.disk_write_bytes_per_second,
                 *(one.flops for one in found.tried),
                 *(one.plain_seconds for one in found.attention),
                 *(one.fused_seconds for one in found.attention)):
        assert 0 < rate < 1e17
    assert found.disk_read_bytes_per_second >= 0


def test_where_bf16_does_not_pay_its_attention_is_not_probed(tmp_path, monkeypatch):
    monkeypatch.setattr(calibrate, "pays", lambda *_, **__: False)
    found = calibrate.machine(tmp_path)
    assert not found.bf16
    assert {one.precision for one in found.attention} == {"fp32"}
    assert found.math_below_bf16 == 0


def test_as_many_threads_stand_afterwards_as_before(tmp_path):
    torch.set_num_threads(3)
    calibrate.machine(tmp_path)
    assert torch.get_num_threads() == 3


def test_what_was_measured_in_a_storm_is_measured_again_when_it_is_calm(tmp_path, monkeypatch):
    storm(monkeypatch)
    assert not calibrate.machine(tmp_path).calm
    kept(tmp_path, flops_fp32=123.0)
    assert calibrate.machine(tmp_path).flops_fp32 == 123.0
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0, 0))
    found = calibrate.machine(tmp_path)
    assert found.flops_fp32 != 123.0
    assert found.calm


def test_a_machine_that_gave_half_the_time_asked_for_was_not_calm(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(probes, "attended", lambda _: 0.5)
    assert not calibrate.machine(tmp_path).calm
    monkeypatch.setattr(probes, "attended", lambda _: 0.95)
    assert calibrate.machine(tmp_path).calm


def test_a_container_that_is_granted_half_a_core_is_calm_when_it_gets_that(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(calibrate, "cores", lambda: 1)
    monkeypatch.setattr(calibrate, "granted", lambda: 0.5)
    monkeypatch.setattr(probes, "attended", lambda _: 0.5)
    assert calibrate.machine(tmp_path).calm
    monkeypatch.setattr(probes, "products", lambda: pytest.fail("it was measured again"))
    assert calibrate.machine(tmp_path).calm


def test_the_threads_of_a_storm_are_all_cores_whatever_was_fast_then(tmp_path, monkeypatch):
    storm(monkeypatch)
    monkeypatch.setattr(calibrate, "cores", lambda: 4)
    tried = (Threads(1, 9e9), Threads(2, 5e9), Threads(4, 1e9))
    monkeypatch.setattr(probes, "threads", lambda *_: tried)
    assert calibrate.machine(tmp_path).threads == 4
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0, 0))
    assert calibrate.machine(tmp_path).threads == 1


def test_a_second_measurement_keeps_what_was_chosen_where_it_costs_little(tmp_path, monkeypatch):
    asked = {}

    def rates(products, *, before=None):
        asked["bf16"] = before
        return True

    monkeypatch.setattr(calibrate, "pays", rates)
    storm(monkeypatch)
    calibrate.machine(tmp_path)
    assert asked["bf16"] is None
    kept(tmp_path, threads=7, math_below_fp32=77, math_below_bf16=88)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0, 0))
    monkeypatch.setattr(probes, "threads", lambda *_: (Threads(7, 9.5e9), Threads(8, 1e10)))
    monkeypatch.setattr(probes, "attention", lambda precision, tokens: Attention(
        precision, tokens, 1.0, 1.1))
    found = calibrate.machine(tmp_path)
    assert asked["bf16"] is True
    assert found.threads == 7
    assert (found.math_below_fp32, found.math_below_bf16) == (77, 88)


def test_a_broken_cache_is_measured_again_and_mended(tmp_path):
    calibrate.machine(tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_text("{")
    found = calibrate.machine(tmp_path)
    assert records.load(path, Machine) == found


OLDER = {
    "processor": "p", "cores": 2, "memory_bytes": 1, "gpu": None, "bf16": False,
    "flops_fp32": 1.0, "flops_bf16": 1.0, "calm": True, "versions": {},
}  # fmt: skip
"""A cached file as it was before there was more than matrix products in it."""


@pytest.mark.parametrize("older", [
    OLDER, {**OLDER, "probes": calibrate.VERSION - 1}, {**OLDER, "of_later": 1}, {}, [],
])  # fmt: skip
def test_a_cache_of_another_form_is_measured_again(tmp_path, older):
    calibrate.machine(tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_text(json.dumps(older))
    found = calibrate.machine(tmp_path)
    assert found.flops_fp32 > 0
    assert found.probes == calibrate.VERSION
    assert records.load(path, Machine) == found


@pytest.mark.parametrize(("place", "name", "value"), [
    (torch, "__version__", "0.0"), (calibrate, "cores", lambda: 1_000),
    (calibrate, "processor", lambda: "another"), (calibrate, "VERSION", 99),
    (torch.cuda, "device_count", lambda: 5), (calibrate, "whole_cores", lambda: 500),
    (calibrate, "granted", lambda: 0.3), (calibrate, "_memory", lambda: 2**60),
])  # fmt: skip
def test_what_would_change_a_measurement_makes_it_another_machine(
    tmp_path, monkeypatch, place, name, value
):
    monkeypatch.setattr(probes, "threads", lambda *_: (Threads(1, 1e9),))
    calibrate.machine(tmp_path)
    monkeypatch.setattr(place, name, value)
    calibrate.machine(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_home_that_may_not_be_written_to_stops_nobody(tmp_path):
    (tmp_path / "file").write_text("")
    found = calibrate.machine(tmp_path / "file")
    assert found.flops_fp32 > 0
    assert found.disk_write_bytes_per_second == found.disk_read_bytes_per_second == 0.0


def test_reading_what_was_kept_imports_no_probe(tmp_path):
    calibrate.machine(tmp_path)
    code = (
        "import sys; from pathlib import Path; from fettle.engine import calibrate\n"
        f"calibrate.machine(Path({str(tmp_path)!r}))\n"
        "print(*({'fettle.engine.probes', 'scipy', 'sympy'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == []


def shapes(*rates):
    """Products with (fp32, bf16) rates."""
    return [Products(1, 1, 1, *pair) for pair in rates]


@pytest.mark.parametrize(("rates", "before", "expected"), [
    ([(100, 114)], None, False), ([(100, 116)], None, True),
    ([(100, 116), (120, None)], None, False),      # each at its best shape
    ([(100, 90), (110, 200)], None, True),
    ([(100, 88)], True, True), ([(100, 86)], True, False),
    ([(100, 114)], False, False), ([(100, 116)], False, True),
])  # fmt: skip
def test_bf16_pays_where_its_best_shape_is_clearly_faster(rates, before, expected):
    assert calibrate.pays(shapes(*rates), before=before) is expected


@pytest.mark.parametrize(("rates", "before", "expected"), [
    ({1: 100, 2: 190, 4: 191}, None, 2),           # a tie goes to the fewer
    ({1: 100, 2: 190, 4: 380}, None, 4),
    ({1: 100, 2: 30}, None, 1),
    ({1: 100, 2: 190, 4: 191}, 4, 4), ({2: 100, 4: 114}, 2, 2), ({2: 100, 4: 116}, 2, 4),
    ({1: 100, 2: 190}, 16, 2),                     # chosen before, and not tried any more
])  # fmt: skip
def test_the_fewest_threads_that_are_as_fast_as_any(rates, before, expected):
    tried = [Threads(*pair) for pair in rates.items()]
    assert calibrate.best_threads(tried, before=before) == expected


def timed(*ratios):
    """Attention at 32, 128 and 512 tokens, fused taking so many times as long as plain."""
    return [Attention("bf16", tokens, 1.0, ratio)
            for tokens, ratio in zip((32, 128, 512), ratios, strict=False)]


@pytest.mark.parametrize(("ratios", "before", "expected"), [
    ((5.2, 2.9, 1.5), None, 512),                  # METHODS' own figures, heads of 64
    ((0.9, 0.9, 0.9), None, 0), ((), None, 0),
    ((1.04, 9, 9), None, 0),                       # not clearly faster where rows are shortest
    ((2, 0.9, 2), None, 98),                       # won again later: the first loss decides
    ((2.1, 1.05 / 2), None, 64),                   # halfway between 32 and 128 in logarithms
    ((4, 4, 1.05), None, 512),           # equal at 512, to the margin
    ((5, 1.1, 1.1), 32, 32), ((5, 1.2, 1.1), 32, 512), ((5, 3, 0.9), 512, 512),
    ((5, 3, 0.8), 512, 385),
])  # fmt: skip
def test_plain_products_up_to_where_fused_ones_overtake_them(ratios, before, expected):
    assert calibrate.math_below(timed(*ratios), before=before) == pytest.approx(expected, abs=1)


def test_between_powers_of_two_all_cores_are_tried_too():
    assert calibrate._counts(1) == (1,)
    assert calibrate._counts(2) == (1, 2)
    assert calibrate._counts(6) == (1, 2, 4, 6)
    assert calibrate._counts(8) == (1, 2, 4, 8)
