"""What every test shares: no network, and the data that may stand beside the checkout."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ("databases", "stories", "serving")

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read once, when huggingface_hub is imported
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
settings.register_profile(
    "steady", deadline=None, derandomize=True, database=None, suppress_health_check=SLOW
)
settings.register_profile("search", deadline=None, suppress_health_check=SLOW)
settings.load_profile("steady")
"""The same examples every time, however slow the machine is; `pytest --hypothesis-profile search`
draws others."""


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


@pytest.fixture(scope="session", autouse=True)
def small_stories() -> Iterator[None]:
    """A validation part is carved off smaller sets than usual, so that stories of both kinds are
    quick to tell."""
    from fettle.stages import splitting
    from stories import FEWEST

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "FEWEST_FOR_VALIDATION", FEWEST)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What this machine has kept changes no test, and no test changes what it keeps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("no-home")))
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
