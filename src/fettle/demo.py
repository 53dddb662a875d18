"""The demo: the data that comes with fettle, and what to ask of the model that it makes."""

from importlib import resources
from pathlib import Path

from fettle.core.plan import Reading
from fettle.core.settings import Settings
from fettle.store import files

__all__ = ["QUESTIONS", "copy", "settings"]

TRAIN, TEST = "messages.csv", "messages_test.csv"
QUESTIONS = (
    "where is my parcel, it should have come on Tuesday",
    "The steam nozzle hisses and nothing comes out any more",
    "please stop my filter plan at the end of the month",
)
BUDGET_SECONDS = 40.0
"""Of training: the whole demo is to end within a minute on two cores."""


def settings(*, out: str | None, registry: str) -> Settings:
    """The demo's story: messages of customers, and the subject of each."""
    folder = _folder()
    reading = Reading(data=str(folder / TRAIN), test=str(folder / TEST), target="label")
    return Settings(
        reading=reading, name="messages", budget_seconds=BUDGET_SECONDS, out=out, registry=registry
    )


def copy(folder: Path) -> list[Path]:
    """Put the demo's files into this folder, for the other commands to be tried on."""
    return [files.copy_file(_folder() / name, folder / name) for name in (TRAIN, TEST)]


def _folder() -> Path:
    return Path(str(resources.files("fettle") / "data"))
