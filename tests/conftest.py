"""What every test shares: no network, and the data that may stand beside the checkout."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ("databases", "stories", "serving")

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read once, when huggingface_hub is imported
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """A test that reaches out fails, and says where to."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else "localhost"
        if host not in ("localhost", "127.0.0.1", "::1"):
            raise OSError(f"a test may not reach {host}")
        real(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        yield


def _folder(variable: str) -> Path:
    folder = Path(os.environ.get(variable, ""))
    if variable not in os.environ or not folder.is_dir():
        pytest.skip(f"{variable} names no folder here")
    return folder.resolve()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Public data sets, where this machine has them: FETTLE_DATA, set by the Makefile."""
    return _folder("FETTLE_DATA")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """Small real networks, where this machine has them: FETTLE_WEIGHTS, set by the Makefile."""
    return _folder("FETTLE_WEIGHTS")


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, so that runs and registry land in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
