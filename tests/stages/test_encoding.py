import numpy as np
import pyarrow as pa

from fettle.core.dataset import Dataset, Schema
from fettle.core.progress import Progress
from fettle.models.cards import card_of
from fettle.stages.encoding import encode


def rows_of(texts):
    return Dataset(
        "t.csv", pa.table({"text": pa.array(texts, pa.string())}), Schema(None, ("text",)),
        tuple(f"t.csv:{row + 2}" for row in range(len(texts))), ("",) * len(texts),
    )


def test_every_row_has_its_features_and_its_length_before_anything_is_cut(
    tiny, on_this_machine
):
    from fettle import pipeline

    texts = ["my card is lost", "card " * 40, "", "my card is lost"]
    work = encode(rows_of(texts), card_of(str(tiny)), pipeline.this_machine(), most_tokens=12)
    events = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            features, sizes = end.value
            break

    assert features.shape == (4, 32)
    assert features.dtype == np.float32
    assert np.abs(features[0] - features[3]).max() < 1e-5
    assert np.abs(features[0] - features[1]).max() > 1e-3
    assert sizes.tokens.tolist() == [6, 42, 2, 6]
    assert (sizes.limit, sizes.estimated) == (12, False)
    assert events[-1] == Progress("features", 4, 4)
