import numpy as np
import pytest

from fettle.core.drift import Portrait
from fettle.core.errors import CorruptFile
from fettle.store import portraits


def made():
    return Portrait(
        kinds={"title": "text", "price": "number"},
        traits={"length": np.array([1.5, np.nan]), "filled": np.array(["text", "(empty)"])},
        classes=("no", "yes"), probabilities=np.array([[0.25, 0.75], [0.5, 0.5]]),
        embedding=np.array([[1.0, -2.0, 0.5], [1e9, 0.0, 0.25]]), labels=("yes", None),
    )


def test_a_portrait_comes_back_as_it_was_its_vectors_in_half_precision(tmp_path):
    path = portraits.write(tmp_path, made())
    found = portraits.read(path)
    assert (found.kinds, found.classes, found.labels) == (
        {"title": "text", "price": "number"}, ("no", "yes"), ("yes", None))
    np.testing.assert_array_equal(found.traits["length"], made().traits["length"])
    assert found.traits["filled"].tolist() == ["text", "(empty)"]
    np.testing.assert_array_equal(found.probabilities, made().probabilities)
    assert found.embedding.tolist() == [[1.0, -2.0, 0.5], [65504.0, 0.0, 0.25]]
    assert portraits.read(portraits.write(tmp_path, made(), embedding=False)).embedding is None
    assert found.of([1]).labels == (None,)


def test_counts_come_back_and_other_files_are_refused(tmp_path):
    counts = np.array([0, 3, 0, 9])
    path = portraits.write_counts(tmp_path, counts)
    assert portraits.read_counts(path).tolist() == counts.tolist()
    with pytest.raises(CorruptFile):
        portraits.read(path)
    reference = portraits.write(tmp_path, made())
    with pytest.raises(CorruptFile):
        portraits.read_counts(reference)
