import numpy as np
import pyarrow as pa

from fettle.checks.parting import by_cluster, by_column, by_length
from fettle.core.dataset import Dataset, Schema


def dataset_with(**columns):
    rows = len(next(iter(columns.values())))
    table = pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()})
    return Dataset("t.csv", table, Schema("label", ("text",), tuple(columns)),
                   tuple(map(str, range(rows))), ("",) * rows)


def told(parts):
    return {(by, value): np.flatnonzero(part).tolist() for by, value, part in parts}


def test_an_unused_column_with_few_values_parts_the_rows():
    dataset = dataset_with(country=["de", "fr", "de", None, "fr", "it"],
                           id=[str(row) for row in range(6)], same=["x"] * 6)
    parts = told(by_column(dataset, range(5), [0, 1, 3, 5]))
    # "it" is in no learned row; ids have six values, which is few, and each of them is a part
    assert parts["country", "de"] == [0]
    assert parts["country", "fr"] == [1]
    assert ("country", "it") not in parts
    assert not any(by == "same" for by, _ in parts)


def test_a_told_column_of_many_numbers_is_parted_at_its_quartiles():
    dataset = dataset_with(age=[str(row) for row in range(100)])
    assert by_column(dataset, range(100), range(100)) == []
    parts = told(by_column(dataset, range(100), [0, 24, 25, 60, 99], told=["age"]))
    assert list(parts.values()) == [[0, 1], [2], [3], [4]]


def test_lengths_are_parted_at_the_quartiles_of_what_was_learned():
    learned = [" ".join(["w"] * words) for words in range(1, 101)]
    parts = told(by_length(learned, ["w", "w " * 30, "w " * 60, "w " * 99]))
    assert list(parts.values()) == [[0], [1], [2], [3]]
    assert next(iter(parts))[1] == "up to 25.75 words"


def test_clusters_are_of_like_rows_and_named_after_labels():
    rng = np.random.default_rng(0)
    centers = np.eye(4) * 9
    learned = np.repeat(centers, 50, axis=0) + rng.normal(size=(200, 4)) * 0.1
    labels = np.repeat(["a", "b", "c", "d"], 50).tolist()
    parts = by_cluster(learned, labels, centers + 0.1, seed=0)
    assert len(parts) == 4
    assert sorted(value.split(": ")[1] for _, value, _ in parts) == [
        "a 100%", "b 100%", "c 100%", "d 100%"]
    assert sorted(np.flatnonzero(part).tolist() for *_, part in parts) == [[0], [1], [2], [3]]
    assert by_cluster(learned[:60], labels[:60], centers, seed=0) == []
