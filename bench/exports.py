"""The certificate of each export form for each network family: the largest difference of an output.

    .venv/bin/python bench/exports.py [--forms onnx,torch] [--only pictures]

Small random networks of every family that is opened, texts over three poolings and pictures, each
written in every form, opened again as that tool's users open it and asked the same rows. Nothing
is trained. The networks are the ones that the tests are about. Takes minutes: torch's exporter
of ONNX traces each network anew.
"""

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fettle.core.errors import FettleError
from fettle.exporters import EXPORTERS, PICTURE_EXPORTERS

POOLINGS = (("cls", False), ("mean", True), ("max", False))


def of_texts(forms: set[str]) -> Iterator[dict[str, Any]]:
    """One line a family: over three poolings the largest difference of each form."""
    from foreign import NETWORKS
    from leaving import leaving

    for kind in NETWORKS:
        found: dict[str, str] = {}
        for form in (one for one in EXPORTERS if one in forms):
            rung = "lora" if form == "peft" else "features"
            found[form] = worst([
                partial(leaving, kind=kind, pooling=pooling, normalise=normalise, rung=rung)
                for pooling, normalise in POOLINGS
            ], form)
        yield {"reads": "texts", "family": kind, **found}


def of_pictures(forms: set[str]) -> Iterator[dict[str, Any]]:
    """One line a family and library."""
    from leaving_pictures import TIMM, TRANSFORMERS, leaving, place_of

    def made(place: Path, library: str, family: str) -> Any:
        return leaving(place, place_of(place / "model", library, family))

    for library, families in (("timm", TIMM), ("transformers", TRANSFORMERS)):
        for family in families:
            found = {
                form: worst([partial(made, library=library, family=family)], form)
                for form in PICTURE_EXPORTERS if form in forms
            }
            yield {"reads": "pictures", "family": f"{family} of {library}", **found}


def worst(made: list[Callable[[Path], Any]], form: str) -> str:
    """The largest difference over these versions; "-" where the form cannot hold them."""
    from leaving import exported

    differences = []
    for make in made:
        with tempfile.TemporaryDirectory() as place:
            try:
                certificate = exported(make(Path(place)), form, Path(place) / "out")
            except FettleError as error:
                print(f"  {form}: {error}", file=sys.stderr)
                return "-"
            assert not certificate.changed, "an export that changes answers is not written"
            differences.append(certificate.largest_difference)
    return f"{max(differences):.1e}" if max(differences) else "0"


def main() -> None:
    """Print a table for each modality, and all of it as one line of JSON."""
    every = [*EXPORTERS, *(one for one in PICTURE_EXPORTERS if one not in EXPORTERS)]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--forms", default=",".join(every))
    parser.add_argument("--only", choices=("texts", "pictures"), default=None)
    asked = parser.parse_args()
    forms = set(asked.forms.split(","))
    lines: list[dict[str, Any]] = []
    for reads, told, tables in (("texts", of_texts, EXPORTERS),
                                ("pictures", of_pictures, PICTURE_EXPORTERS)):
        if asked.only in (None, reads):
            shown = [one for one in tables if one in forms]
            print(f"| {reads} | {' | '.join(f'`{one}`' for one in shown)} |")
            print(f"|---|{'---|' * len(shown)}")
            for line in told(forms):
                cells = " | ".join(str(line[form]) for form in shown)
                print(f"| {line['family']} | {cells} |", flush=True)
                lines.append(line)
    with_ = {name: metadata.version(name) for name in ("torch", "transformers", "timm",
                                                       "onnxruntime")}
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    print(json.dumps({"bench": "exports", "machine": machine, **with_, "families": lines}))


if __name__ == "__main__":
    main()
