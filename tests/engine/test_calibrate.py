import dataclasses
import os

import pytest
import torch

from fettle.core.plan import Machine
from fettle.engine import calibrate
from fettle.store import records


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(calibrate, "SECONDS", 0.01)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def kept(folder, **changes):
    """The one file in the cache, changed."""
    (path,) = folder.iterdir()
    records.save(path, dataclasses.replace(records.load(path, Machine), **changes))


def test_a_machine_is_measured_once_and_kept(tmp_path):
    first = calibrate.machine(tmp_path)
    assert first.flops_fp32 > 1e6
    assert first.flops_bf16 > 1e6
    assert first.bf16 == (first.flops_bf16 > calibrate.WORTH * first.flops_fp32)
    assert first.memory_bytes > 2**28
    kept(tmp_path, flops_fp32=123.0, calm=True)
    assert calibrate.machine(tmp_path).flops_fp32 == 123.0


def test_what_was_measured_in_a_storm_is_measured_again_when_it_is_calm(tmp_path, monkeypatch):
    calibrate.machine(tmp_path)
    kept(tmp_path, flops_fp32=123.0, calm=False)
    monkeypatch.setattr(os, "getloadavg", lambda: (1e9, 0, 0))
    assert calibrate.machine(tmp_path).flops_fp32 == 123.0
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0, 0))
    found = calibrate.machine(tmp_path)
    assert found.flops_fp32 > 1e6
    assert found.calm


def test_a_broken_cache_is_measured_again_and_mended(tmp_path):
    calibrate.machine(tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_text("{")
    found = calibrate.machine(tmp_path)
    assert records.load(path, Machine) == found


def test_another_torch_is_another_machine(tmp_path, monkeypatch):
    calibrate.machine(tmp_path)
    monkeypatch.setattr(torch, "__version__", "0.0")
    assert calibrate.machine(tmp_path).versions["torch"] == "0.0"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_home_that_may_not_be_written_to_stops_nobody(tmp_path):
    (tmp_path / "file").write_text("")
    assert calibrate.machine(tmp_path / "file").flops_fp32 > 1e6
