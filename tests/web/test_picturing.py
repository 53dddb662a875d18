"""Bodies of pictures: which rows they ask about, and what is refused by a header alone."""

import base64

import numpy as np
import pytest

from fettle.core.errors import InputError
from fettle.core.pictures import inline_bytes
from fettle.store.decoding import TooManyPixels
from fettle.web.asking import Malformed, Question
from fettle.web.picturing import as_cells, holds_pictures, pictures_in
from pictures import drawn, encoded, png_that_claims

PNG = encoded(drawn("disc", seed=0))
JPEG = encoded(drawn("ring", seed=1), "JPEG")
BOMB = png_that_claims(12_000, 12_000)


def form(*parts, boundary=b"xyz", end=True):
    whole = b"".join(
        b"--" + boundary + b'\r\nContent-Disposition: form-data; name="f"; filename="../../a"\r\n'
        b"Content-Type: image/png\r\n\r\n" + part + b"\r\n"
        for part in parts
    )
    return whole + (b"--" + boundary + b"--\r\n" if end else b"")


FORM = "multipart/form-data; boundary=xyz"


def contents(asked):
    return [inline_bytes(cell) for (cell,) in asked.fields]


def test_a_picture_s_bytes_are_one_row():
    for kind, content in (("image/png", PNG), ("image/jpeg; q=1", JPEG), ("image/webp", PNG),
                          ("application/octet-stream", JPEG)):
        assert holds_pictures(kind)
        assert contents(pictures_in(kind, content, most_rows=1)) == [content]
    assert not holds_pictures("application/json")
    assert not holds_pictures("")


def test_a_form_is_a_row_for_each_part_to_the_last_byte():
    odd = PNG + b"\r\n--xy\r\n\n\r"  # what looks almost like a boundary
    assert contents(pictures_in(FORM, form(PNG, JPEG, odd), most_rows=3)) == [PNG, JPEG, odd]


@pytest.mark.parametrize(("kind", "body", "error", "sentence"), [
    ("multipart/form-data", form(PNG), Malformed, "names no boundary"),
    (FORM, form(PNG, end=False), Malformed, "ends before its last boundary"),
    (FORM, b"no form at all", Malformed, "no form"),
    (FORM, form(PNG, PNG, PNG), InputError, "More than 2 pictures"),
    (FORM, form(PNG, b"text"), InputError, "Row 2 holds no picture"),
    (FORM, form(b""), InputError, "Row 1 holds no picture to answer: the file is empty"),
    ("image/png", b"<svg onload='x'/>", InputError, "none of JPEG, PNG"),
    ("image/png", BOMB, TooManyPixels, "12,000 x 12,000 pixels; 50 million are the most"),
    ("image/png", png_that_claims(60_000, 1), TooManyPixels, "30,000 a side"),
    ("image/png", png_that_claims(2**31 - 1, 2**31 - 1), InputError, "Row 1 holds no picture"),
])
def test_what_is_no_picture_is_refused_before_it_is_decoded(kind, body, error, sentence):
    with pytest.raises(error, match=sentence):
        pictures_in(kind, body, most_rows=2)


def test_cells_of_json_are_base64_with_an_address_or_without():
    plain = base64.b64encode(PNG).decode()
    asked = Question(((plain,), (f"data:image/png;base64,{plain}",)), ("careful",), "mine")
    found = as_cells(asked)
    assert contents(found) == [PNG, PNG]
    assert (found.warnings, found.id, found.outputs) == (asked.warnings, "mine", asked.outputs)


@pytest.mark.parametrize(("cell", "sentence"), [
    (f"sha256:{'0' * 64}", "Row 2 names a picture by its hash"),
    ("sha256:abc", "Row 2 names a picture by its hash"),
    ("http://169.254.169.254/latest", "Row 2: the picture's bytes are not base64"),
    ("../../etc/passwd", "Row 2"),
    ("file:///etc/passwd", "Row 2"),
    ("data:text/html,<b>", "Row 2"),
    ("", "Row 2 holds no picture"),
    (base64.b64encode(b"plain text").decode(), "Row 2 holds no picture"),
    (base64.b64encode(BOMB).decode(), "12,000 x 12,000"),
])
def test_a_cell_is_never_a_place_to_look_at(cell, sentence):
    whole = base64.b64encode(PNG).decode()
    with pytest.raises(InputError, match=sentence):
        as_cells(Question(((whole,), (cell,))))


def test_pixels_reach_the_encoder_as_they_were_sent():
    """The cell holds the very bytes: decoding gives the drawn pixels back."""
    from fettle.store.decoding import decoded

    (content,) = contents(pictures_in("image/png", PNG, most_rows=1))
    assert (np.asarray(decoded(content)) == drawn("disc", seed=0)).all()


def test_a_torn_form_is_told_to_its_sender_and_not_to_the_servers_log(caplog):
    with pytest.raises(Malformed, match="The body is no form"):
        pictures_in("multipart/form-data; boundary=x", b"--other\r\n\r\n", most_rows=4)
    assert not caplog.records
