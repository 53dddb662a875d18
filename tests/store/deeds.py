"""What processes do that die at it: each deed is one change of a folder by the store."""

from pathlib import Path
from typing import Any

from fettle.store import arrays, checkpoints, files, locks
from fettle.store.blobs import Blobs

OLD, NEW = {"answer": "old", "padding": "x" * 300}, {"answer": "new", "padding": "y" * 200}


def tensors(number: int) -> dict[str, Any]:
    import torch

    return {
        "weight": torch.full((3, 4), float(number)),
        "step": torch.tensor(number),
        "half": torch.full((5,), number, dtype=torch.bfloat16),
    }


def save(folder: str, number: int) -> None:
    checkpoints.save(Path(folder), number, tensors(number), {"at": number})


def save_three(folder: str) -> None:
    for number in (1, 2, 3):
        save(folder, number)


def write_json(folder: str) -> None:
    files.write_json(Path(folder) / "a.json", NEW)


def write_below(folder: str) -> None:
    files.write_json(Path(folder) / "deep" / "deeper" / "a.json", NEW)


def append(folder: str) -> None:
    files.append_line(Path(folder) / "log", '{"line": 2, "text": "größe"}')


def put(folder: str) -> None:
    Blobs(folder).put(Path(folder) / "source")


def copy(folder: str) -> None:
    files.copy_file(Path(folder) / "source", Path(folder) / "a.json")


def fill(folder: str) -> None:
    one = arrays.Filling(Path(folder), "a", (5, 7), "float32")
    try:
        one.values[:] = 3.0
        one.finish({"of": "a"})
    finally:
        one.drop()


def make_room(folder: str) -> None:
    assert arrays.make_room(Path(folder), 100, 200)


def remove(folder: str) -> None:
    files.remove_folder(Path(folder) / "sub")


def hold(folder: str) -> None:
    with locks.hold(Path(folder)):
        files.write_json(Path(folder) / "a.json", NEW)
