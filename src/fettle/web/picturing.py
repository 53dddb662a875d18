"""Picturing: a body that holds pictures in, the rows that ask about them out.

Three forms are read: a picture's own bytes, several of them as a form (multipart), and base64 in
the cells of JSON. No cell is ever a place to fetch a picture from. Only headers are looked at here.
"""

import logging
from collections.abc import Sequence

from fettle.core.errors import InputError
from fettle.core.pictures import HASH, INLINE, cell_of_bytes, hash_in, inline_bytes
from fettle.store import decoding
from fettle.web.asking import Malformed, Question

__all__ = ["as_cells", "holds_pictures", "pictures_in"]

FORM = "multipart/form-data"
RAW = "application/octet-stream"


def holds_pictures(content_type: str) -> bool:
    """Whether a body of this type is pictures' bytes, and no JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith("image/") or kind in (FORM, RAW)


def pictures_in(content_type: str, body: bytes, *, most_rows: int) -> Question:
    """The rows of a body of pictures: one of its own bytes, or one a part of a form.

    Args:
        content_type: of the body, with its boundary where it is a form.
        body: all of it.
        most_rows: of one request.

    Raises:
        Malformed: it is a form that is torn.
        TooManyPixels: the header of a picture says that nobody should decode it.
        InputError: a part is no picture, or there are none, or too many.
    """
    if content_type.partition(";")[0].strip().lower() != FORM:
        return Question(_looked_at([body]))
    return Question(_looked_at(_parts(content_type, body, most_rows)))


def as_cells(question: Question) -> Question:
    """The same rows of JSON, each cell a picture's bytes whose header was looked at.

    Raises:
        TooManyPixels: the header of a picture says that nobody should decode it.
        InputError: a cell is no picture in base64.
    """
    contents = []
    for number, row in enumerate(question.fields, 1):
        (cell,) = row
        if hash_in(cell) is not None or cell.startswith(HASH):
            raise InputError(
                f"Row {number} names a picture by its hash. Send its bytes: "
                "data:image/png;base64,..."
            )
        whole = cell if cell.startswith(INLINE) else f"{INLINE}image/png;base64,{cell}"
        content = inline_bytes(whole, place=f"Row {number}")
        assert content is not None, "a cell with bytes is no hash"
        contents.append(content)
    return Question(_looked_at(contents), question.warnings, question.id, question.outputs)


def _looked_at(contents: Sequence[bytes]) -> tuple[tuple[str, ...], ...]:
    """A row for each picture, once its header has said that it may be decoded."""
    for number, content in enumerate(contents, 1):
        try:
            decoding.sides(content)
        except InputError as error:
            raise type(error)(f"Row {number} holds no picture to answer: {error}.") from error
    return tuple((cell_of_bytes(content),) for content in contents)


def _parts(content_type: str, body: bytes, most_rows: int) -> list[bytes]:
    """What each part of a form holds, in their order; their names say nothing here."""
    from python_multipart import MultipartParser
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import parse_options_header

    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # a torn form is the client's
    found: list[bytearray] = []
    is_whole: list[bool] = []

    def begin() -> None:
        if len(found) == most_rows:
            raise InputError(
                f"More than {most_rows:,} pictures are asked at once. Ask in several requests; "
                "`fettle predict --input FOLDER` answers a whole folder."
            )
        found.append(bytearray())

    def more(content: bytes, start: int, stop: int) -> None:
        found[-1] += content[start:stop]

    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise Malformed("The form's content-type names no boundary, so its parts cannot be told.")
    try:
        parser = MultipartParser(boundary, {
            "on_part_begin": begin, "on_part_data": more, "on_end": lambda: is_whole.append(True),
        })
        parser.write(body)
    except FormParserError as error:
        raise Malformed(f"The body is no form: {error}.") from error
    if not is_whole:
        raise Malformed("The form ends before its last boundary.")
    if not found:
        raise InputError("There are no pictures to answer.")
    return [bytes(one) for one in found]
