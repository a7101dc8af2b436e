"""What a person may take away: all that is held, written while it is sent, and the receipt."""

import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from django.http import HttpResponse, StreamingHttpResponse
from django.utils import timezone

from config import storage
from config.errors import FileDamaged
from privacy import holders, subjects
from privacy.models import DataSubject, ErasureRequest, Project
from privacy.tombstones import digest_of

PIECE_BYTES = 64 * 1024
PICTURES = "images"  # the section whose rows name files, and the folder where these are
SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}


@dataclass(frozen=True)
class Export:
    name: str
    content_type: str
    pieces: Iterator[bytes]


def export(project: Project, user_id: str, *, is_zip: bool = False) -> Export:
    """Return a JSON document, or a zip archive with the pictures beside it; raise NotFound."""
    subject = subjects.find(project, user_id)
    pictures: dict[str, str] = {}
    document = _in_pieces(_document(project, subject, pictures))
    # A user_id may have characters that names of files may not.
    name = f"{project.slug}-{digest_of(project, user_id).hex()[:12]}"
    if is_zip:
        return Export(f"{name}.zip", "application/zip", _archive(document, pictures))
    return Export(f"{name}.json", "application/json", document)


def streamed(file: Export) -> StreamingHttpResponse:
    response = StreamingHttpResponse(file.pieces, content_type=file.content_type)
    response["Content-Disposition"] = f'attachment; filename="{file.name}"'
    response["Cache-Control"] = "no-store"
    return response


def receipt_of(gone: ErasureRequest) -> HttpResponse:
    response = HttpResponse(json.dumps(gone.receipt, indent=2), "application/json")
    response["Content-Disposition"] = f'attachment; filename="erasure-{gone.uuid}.json"'
    return response


def _document(project: Project, subject: DataSubject, pictures: dict[str, str]) -> Iterator[bytes]:
    """Yield the document, one section after the other; note the pictures that it names."""
    now = {
        "user_id": subject.user_id,
        "created_at": subject.created_at,
        "anonymized_at": subject.anonymized_at,
        "preferences": subjects.preferences(project, subject),
    }
    head = msgspec.json.encode(
        {"project": project.slug, "exported_at": timezone.now(), "subject": now}
    )
    yield head[:-1]
    sections: list[tuple[str, Iterable[Any]]] = [
        ("consents", subjects.consents(subject)),
        ("accesses", subjects.accesses(project, subject.user_id)),
    ]
    for section, rows in sections:
        yield from _section(section, rows)
    for holdings in holders.registered():
        for section, rows in holdings.held(project, subject.user_id):
            yield from _section(section, _noting(rows, pictures) if section == PICTURES else rows)
    yield b"\n}\n"


def _section(name: str, rows: Iterable[Any]) -> Iterator[bytes]:
    yield b",\n" + msgspec.json.encode(name) + b": ["
    before = b"\n"
    for row in rows:
        yield before + msgspec.json.encode(row)
        before = b",\n"
    yield b"]"


def _noting(rows: Iterable[Any], pictures: dict[str, str]) -> Iterator[Any]:
    for row in rows:
        pictures[row["sha256"]] = SUFFIXES.get(row["media_type"], "")
        yield row


def _in_pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Join small parts: each piece is a write to the network."""
    piece = bytearray()
    for part in parts:
        piece += part
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


class _Sink:
    """A file for zipfile to write to that cannot go back; what came is taken out meanwhile."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        self._held += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: what was written is taken."""

    close = flush

    def take(self) -> bytes:
        taken = bytes(self._held)
        self._held.clear()
        return taken


def _archive(document: Iterator[bytes], pictures: dict[str, str]) -> Iterator[bytes]:
    """Yield a zip archive: the document first, for only then its pictures are known."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("export.json", "w", force_zip64=True) as file:
            for piece in document:
                file.write(piece)
                yield sink.take()
        for sha256, suffix in pictures.items():
            archive.writestr(*_picture(sha256, suffix))
            yield sink.take()
    yield sink.take()


def _picture(sha256: str, suffix: str) -> tuple[str, bytes]:
    try:
        return f"pictures/{sha256}{suffix}", storage.get(sha256, PICTURES)
    except FileDamaged as damage:
        return f"pictures/{sha256}.txt", f"{damage.detail}\n".encode()
