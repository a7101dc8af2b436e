"""CloudEvents 1.0 as Kafka carries them: structured, and binary (Kafka protocol binding 1.0.2)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from config.api import load, malformed, read
from config.errors import Malformed
from config.json import JSON

Headers: TypeAlias = Mapping[str, str | bytes | None]
Filled = Annotated[str, Meta(min_length=1)]
STRUCTURED = "application/cloudevents"
PREFIX = "ce_"


class Event(msgspec.Struct, kw_only=True):
    """An event; its extension attributes are passed over."""

    specversion: Literal["1.0"]
    id: Filled
    source: Filled
    type: Filled
    time: Annotated[datetime, Meta(tz=True)] | None = None
    datacontenttype: str | None = None
    data: Any = UNSET
    data_base64: bytes | UnsetType = UNSET

    def content(self) -> JSON:
        """Return the data, read if they are bytes; raise Malformed."""
        found: JSON = self.data if self.data_base64 is UNSET else load(self.data_base64)
        return found


def read_event(headers: Headers, value: bytes) -> Event:
    """Read a message in either mode; raise Malformed."""
    texts = _texts(headers)
    content_type = _bare(texts.get("content-type", ""))
    document: Any
    if content_type.startswith(STRUCTURED):
        if content_type != f"{STRUCTURED}+json":
            raise no_event("/content-type", f"Of structured events only {STRUCTURED}+json is read.")
        document = load(value)
    else:
        document = {
            name.removeprefix(PREFIX): text
            for name, text in texts.items()
            if name.startswith(PREFIX)
        }
        document |= {"datacontenttype": content_type or None}
        if value:
            document["data_base64"] = value
    try:
        event = read(document, Event)
    except Malformed as error:
        problem = error.errors[0]
        raise no_event(problem.pointer, f"Not a CloudEvent 1.0: {problem.detail}") from None
    if event.data is UNSET and event.data_base64 is UNSET:
        raise no_event("/data", "The event has no data.")
    if _bare(event.datacontenttype or "application/json") != "application/json":
        raise no_event("/datacontenttype", "The data of an event are JSON.")
    return event


def no_event(pointer: str, detail: str) -> Malformed:
    return malformed(pointer, detail, "feedback.not_an_event")


def _texts(headers: Headers) -> dict[str, str]:
    """Return headers by their names in lower case."""
    texts = {}
    for name, value in headers.items():
        raw = value.encode() if isinstance(value, str) else value or b""
        text = raw.decode(errors="replace")
        if "\0" in text or "\N{REPLACEMENT CHARACTER}" in text:
            raise no_event("", "A header is no plain text in UTF-8.")
        texts[name.lower()] = text
    return texts


def _bare(content_type: str) -> str:
    """Return a media type without its parameters."""
    return content_type.partition(";")[0].strip().lower()
