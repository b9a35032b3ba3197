"""Bodies of ``multipart/form-data``, as SDKs send files."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Any


@dataclass(frozen=True)
class Upload:
    """A file that was sent: its name, type and bytes."""

    filename: str | None
    content_type: str
    content: bytes = field(repr=False)


def parse_form(content_type: str, body: bytes) -> dict[str, Any] | None:
    """The fields by name, text or ``Upload``; a name that ends with ``[]`` is a list of them, without the brackets.

    None for a body of another type.
    """
    head = Message()
    head["content-type"] = content_type
    boundary = head.get_boundary()
    if boundary is None or head.get_content_type() != "multipart/form-data":
        return None
    form: dict[str, Any] = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.encode())[1:-1]:
        headers, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name, value = _field(BytesHeaderParser().parsebytes(headers), content)
        if name.endswith("[]"):
            form.setdefault(name.removesuffix("[]"), []).append(value)
        else:
            form[name] = value
    return form


def _field(head: Message, content: bytes) -> tuple[str, str | Upload]:
    name = str(head.get_param("name", "", "content-disposition"))
    if head.get_filename() is None and "content-type" not in head:
        return name, content.decode("utf-8", "replace")
    return name, Upload(head.get_filename(), head.get_content_type(), content)
