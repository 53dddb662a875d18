"""The memory of requests: what is counted is never less than what is held."""

import json
import tracemalloc

import pytest

from fettle.core.errors import FettleError
from fettle.web.asking import parsed, question
from fettle.web.holding import Full, Holding, Share, cells_bytes, reading_bytes
from fettle.web.picturing import as_cells, pictures_in

from .test_picturing import FORM, PNG, form

SLACK = 40_000
"""Of the interpreter's own, such as a frame or an exception."""
MANY = 20_000


def peak_of(read):
    """What `read` gives, and the most memory that it took meanwhile."""
    tracemalloc.start()
    try:
        try:
            made = read()
        except FettleError:
            made = None
        return made, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def wide(text):
    return json.dumps({"rows": [text]}, ensure_ascii=False).encode()


@pytest.mark.parametrize("body", [
    b'{"rows": [' + b",".join([b"[]"] * MANY) + b"]}",
    b'{"rows": [' + b",".join([b"{}"] * MANY) + b"]}",
    b'{"rows": [' + b",".join([b'{"":0}'] * MANY) + b"]}",
    b'{"rows": [' + b",".join([b"1.5"] * MANY) + b"]}",
    b'{"rows": [' + b",".join([b'"ab"'] * MANY) + b"]}",
    b"{" + b",".join(b'"%d":"ab"' % at for at in range(MANY)) + b"}",
    b"{" + b",".join(b'"%d":[]' % at for at in range(11_000)) + b"}",
    b'{"a":' * 900 + b"1" + b"}" * 900,
    wide("a" * 300_000),
    wide("a" * 300_000 + "\N{SNOWMAN}"),
    wide("a" * 300_000 + "\N{FIRE}"),
    wide("\N{FIRE}" + "a" * 300_000 + "\\"),
    b'{"rows": ["' + b"a" * 300_000 + b'\\ud83d\\udd25"]}',
], ids=["lists", "objects", "pairs", "numbers", "texts", "keys", "keys of lists", "deep", "plain",
        "two bytes", "four bytes", "four bytes first", "escaped"])
def test_reading_json_never_takes_more_than_is_set_aside_for_it(body):
    asks, peak = peak_of(lambda: question(parsed(body), ("text",), most_rows=256))
    assert len(body) + peak <= reading_bytes(body, are_pictures=False) + SLACK
    if asks is not None:
        assert cells_bytes(asks.fields) < peak + SLACK


@pytest.mark.parametrize("count", [1, 5])
def test_reading_pictures_never_takes_more_than_is_set_aside_for_it(count):
    big = PNG + b"\0" * 300_000
    pictures_in(FORM, form(PNG), most_rows=1)  # what it imports is no part of a request
    for kind, body in ((FORM, form(*[big] * count)), *([("image/png", big)] * (count == 1))):
        asks, peak = peak_of(lambda body=body, kind=kind: pictures_in(kind, body, most_rows=5))
        assert len(body) + peak <= reading_bytes(body, are_pictures=True) + SLACK
    cells = [cell for (cell,) in asks.fields]
    for texts in (cells, [cell.partition(",")[2] for cell in cells]):
        body = json.dumps({"rows": texts}).encode()
        _, peak = peak_of(lambda body=body: as_cells(
            question(parsed(body), ("picture",), most_rows=5)))
        assert len(body) + peak <= reading_bytes(body, are_pictures=False) + SLACK


def test_one_request_finds_any_room_and_others_none_beside_it_until_it_is_gone():
    whole = Holding(100)
    large, small = Share(whole), Share(whole)
    large.hold(1000)
    with pytest.raises(Full, match="Ask again in 1 s"):
        small.hold(1)
    assert (whole.bytes, small.bytes) == (1000, 0)
    large.hold(60)
    small.hold(40)
    with pytest.raises(Full):
        small.hold(41)
    small.hold(10)  # less is never refused
    small.take(80)  # nor is what is done already
    assert whole.bytes == 140
    large.take(0)
    small.take(0)
    assert whole.bytes == 0
