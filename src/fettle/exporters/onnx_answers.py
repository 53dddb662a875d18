"""Answers of an exported ONNX file: rows of text in, outputs out. It needs numpy, onnxruntime and
tokenizers, and nothing else; a copy of it lies beside the file that it asks.

    answers = Answers("folder")
    print(answers([("subject", "where is my parcel")]))
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

__all__ = ["Answers"]


class Answers:
    """The exported model in one folder."""

    def __init__(self, folder: str | Path, *, threads: int = 0) -> None:
        """Open it; `threads` of 0 takes all cores."""
        folder = Path(folder)
        self.told = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
        self.classes: list[str] = self.told["classes"]
        self.tokenizer = Tokenizer.from_file(str(folder / self.told["tokenizer"]))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            str(folder / self.told["network"]), options, providers=["CPUExecutionProvider"]
        )

    def __call__(
        self, rows: Sequence[Sequence[str]]
    ) -> list[str] | list[float] | list[list[str]]:
        """What each row is: its likeliest class; all labels that reach their thresholds, in the
        order of `classes`; or a number.

        Args:
            rows: the fields of each, in the order of `fields`.
        """
        if self.told["answers"] == "numbers":
            return self.outputs(rows)[:, 0].tolist()
        if self.told["answers"] == "labels":
            called = self.probabilities(rows) >= np.array(self.told["thresholds"])
            return [[self.classes[at] for at in np.flatnonzero(row)] for row in called]
        return [self.classes[best] for best in self.outputs(rows).argmax(axis=1)]

    def probabilities(self, rows: Sequence[Sequence[str]]) -> np.ndarray:
        """(rows, classes); each row sums to 1, unless it may have several labels: then each is of
        its label by itself. They mean nothing where numbers are answered."""
        return self._asked(rows, "probabilities")

    def outputs(self, rows: Sequence[Sequence[str]]) -> np.ndarray:
        """What goes into the softmax, or the sigmoids, (rows, classes)."""
        return self._asked(rows, "logits")

    def _asked(self, rows: Sequence[Sequence[str]], name: str) -> np.ndarray:
        return self.session.run([name], self.batch(rows))[0]

    def batch(self, rows: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
        """input_ids and attention_mask, int64 (rows, tokens), padded to the longest row.

        A row without a token gets one of padding, which it looks at.
        """
        join, most = self.told["join"], self.told["letters"]
        texts = [join.join(part for part in row if part)[:most] for row in rows]
        found = [one.ids for one in self.tokenizer.encode_batch(texts)]
        longest = max(1, *map(len, found))
        ids = np.full((len(rows), longest), self.told["pad"], dtype=np.int64)
        mask = np.zeros((len(rows), longest), dtype=np.int64)
        for row, one in enumerate(found):
            ids[row, : len(one)] = one
            mask[row, : max(len(one), 1)] = 1
        return {"input_ids": ids, "attention_mask": mask}
