"""Replay's largest difference for each network family: started at a block against from its input.

    .venv/bin/python bench/replay.py [--only texts|pictures] [--rows 600]

Small random networks of every family that is opened, heads random as well; nothing is trained. For
every block that replay may start at: the largest difference of an output in the same batch in fp32
(where only the way differs: 0 is what is allowed), and over batches of other shapes in fp32 and
bf16, as a share of the largest output, and how many rows get another answer. Printed is the worst
block of each family. These are the figures by which a run decides whether to replay
(`engine/faithful`); the networks are the ones that the tests are about.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fettle.core.errors import FettleError
from fettle.core.pictures import cell_of_bytes
from fettle.core.progress import finish
from fettle.engine.faithful import Faithful, compare
from fettle.engine.replay import prefix
from fettle.modalities import ENCODERS
from measuring import announce, report

LIBRARIES = ("torch", "transformers", "timm")
PRECISIONS = ("fp32", "bf16")
HEADING = """\
| family | blocks | same batch | other batches, fp32 | other batches, bf16 | other answers |
|---|---|---|---|---|---|"""
Row = tuple[str, ...]


def of_texts(rows: int) -> Iterator[tuple[str, Callable[[Path], Any], list[Row]]]:
    """Each family of transformers: its name, what makes it in a folder, and its rows."""
    from functools import partial

    from foreign import NETWORKS
    from leaving import leaving
    from small import texts

    for kind in NETWORKS:
        yield kind, partial(leaving, kind=kind, pooling="mean"), texts(rows)


def of_pictures(rows: int) -> Iterator[tuple[str, Callable[[Path], Any], list[Row]]]:
    """The same for pictures, by library."""
    from leaving_pictures import TIMM, TRANSFORMERS, contents, leaving, place_of

    shown = [(cell_of_bytes(one),) for one in contents(rows)]
    for library, families in (("timm", TIMM), ("transformers", TRANSFORMERS)):
        for family in families:
            def made(place: Path, library: str = library, family: str = family) -> Any:
                return leaving(place, place_of(place / "model", library, family))

            yield f"{family} of {library}", made, shown


def found_of(
    make: Callable[[Path], Any], modality: str, rows: list[Row], precision: str, folder: Path
) -> tuple[int, list[Faithful]]:
    """How many blocks the network has, and what was found at each that replay may start at."""
    version = make(folder)
    network = version.network.eval()
    encoder = ENCODERS[modality].load(version.paths)
    items = encoder.encode(rows)
    blocks = range(2, network.blocks - 1)
    kept = finish(prefix(network, encoder, items, poolings=(), blocks=tuple(blocks),
                         precision=precision, folder=folder / "kept", limit=1 << 30))
    return network.blocks, [
        compare(network, encoder, items, kept.states[block], precision=precision)
        for block in blocks
    ]


def figures_of(
    make: Callable[[Path], Any], modality: str, rows: list[Row]
) -> dict[str, float | str]:
    """The worst of all blocks, in each precision; a sentence where it cannot be opened."""
    figures: dict[str, float | str] = {}
    for precision in PRECISIONS:
        with tempfile.TemporaryDirectory() as place:
            try:
                blocks, found = found_of(make, modality, rows, precision, Path(place))
            except FettleError as error:
                return {"refused": str(error)}
        figures["blocks"] = blocks
        if not found:
            return {**figures, "nothing": "no block of it can be frozen without the others"}
        figures["same_batch"] = max(
            [one.same_batch for one in found] + [float(figures.get("same_batch", 0.0))])
        figures[precision] = max(one.relative for one in found)
        figures[f"{precision}_other_answers"] = max(
            round((1 - one.agreement) * one.rows) for one in found)
        figures[f"{precision}_holds"] = float(all(one.holds for one in found))
    return figures


def line(family: str, figures: dict[str, float | str]) -> str:
    """One row of the table."""
    for word in ("refused", "nothing"):
        if word in figures:
            return f"| {family} | {figures.get('blocks', '-')} | - | - | - | - | {figures[word]}"
    cells = [f"{figures['blocks']:.0f}"]
    cells += [f"{figures[name]:.1e}" if figures[name] else "0"
              for name in ("same_batch", *PRECISIONS)]
    return f"| {family} | {' | '.join(cells)} | {figures['bf16_other_answers']:.0f} |"


def main() -> None:
    """A table for each modality, and all of it as one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=("texts", "pictures"), default=None)
    parser.add_argument("--rows", type=int, default=600)
    asked = parser.parse_args()
    announce()
    figures: dict[str, float] = {}
    for modality, told in (("text", of_texts), ("image", of_pictures)):
        if asked.only not in (None, "texts" if modality == "text" else "pictures"):
            continue
        print(HEADING, flush=True)
        for family, make, rows in told(asked.rows):
            found = figures_of(make, modality, rows)
            print(line(family, found), flush=True)
            figures |= {f"{family.replace(' ', '_')}_{key}": value for key, value in found.items()
                        if not isinstance(value, str)}
    print(", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES))
    report("replay", figures)


if __name__ == "__main__":
    main()
