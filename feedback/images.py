"""Pictures that people upload: decoded, judged, written anew without metadata, stored once.

What arrives is held in memory only: its metadata may say where a person lives.
"""

import hashlib
import io
import struct
import threading
import uuid
import warnings
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import PIL.Image
from django.db import transaction
from PIL.Image import Transpose

from config import storage
from config.api import malformed
from config.errors import Malformed, Unavailable
from config.health import has_free_disk
from feedback.models import Image
from privacy import consent
from privacy.access import Sender

FOLDER = "images"
MAX_PIXELS = 25_000_000  # to write a WebP of that size takes 500 MB
# Pictures that one process decodes at a time, and how long another one waits for its turn.
_DECODERS = threading.BoundedSemaphore(2)
WAIT_SECONDS = 2.0
SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
# How each format is written anew; a better compressed PNG takes twice the time.
_FORMATS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "PNG": ("image/png", "PNG", {"compress_level": 3}),
    "JPEG": ("image/jpeg", "JPEG", {"quality": 90}),
    "MPO": ("image/jpeg", "JPEG", {"quality": 90}),  # a JPEG with previews behind it
    "WEBP": ("image/webp", "WEBP", {"quality": 90, "method": 2}),
}
_ORIENTATION = 0x0112  # of EXIF: how the camera was held
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
# What Pillow raises for bytes that are no sound picture; it has no error of its own for that.
_UNSOUND = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError),
    *(AssertionError, EOFError, struct.error, zlib.error),
)
_BOMBS = (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning)

PIL.Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)


@dataclass(frozen=True)
class Picture:
    """A sound picture: upright, without metadata, encoded."""

    data: bytes
    media_type: str
    width: int
    height: int
    difference_hash: int


def store(*, sender: Sender, user_id: str | None, is_verified: bool, data: bytes) -> Image:
    """Store an uploaded picture and return its row.

    Raises Malformed for what is no PNG, JPEG or WebP, Unavailable, and Erased, OptedOut or
    NoConsent; then nothing is stored.
    """
    if not has_free_disk():
        raise Unavailable
    if user_id is None and not sender.is_trusted:
        # Without a person nobody's consent could be asked.
        raise malformed("/user_id", "A capture key says whose picture it sends.")
    if not _DECODERS.acquire(timeout=WAIT_SECONDS):
        raise Unavailable
    try:
        picture = read_picture(data)
    finally:
        _DECODERS.release()
    image = Image(
        project=sender.project,
        api_key=sender.key,
        user_id=user_id,
        is_verified=is_verified,
        sha256=hashlib.sha256(picture.data).hexdigest(),
        media_type=picture.media_type,
        width=picture.width,
        height=picture.height,
        difference_hash=picture.difference_hash,
    )
    with transaction.atomic():
        image.user_id = consent.require(sender.project, user_id)
        image.save()
        storage.put(picture.data, FOLDER)  # last: a row that is refused leaves no file behind
    return image


def load(image: Image) -> bytes:
    """Return the stored bytes; raise FileDamaged if they are gone or changed."""
    return storage.get(image.sha256, FOLDER)


def existing(project_id: int, ids: Collection[str]) -> set[str]:
    """Return those of the ids that name an image of the project."""
    known = Image.objects.filter(project=project_id, uuid__in=[uuid.UUID(id_) for id_ in ids])
    return set(map(str, known.values_list("uuid", flat=True)))


def read_picture(data: bytes) -> Picture:
    """Decode a picture whole and encode it anew; raise Malformed for whatever is none.

    Its format and its pixels stay, turned as its EXIF says; nothing else does: no EXIF, no
    comments, no colour profile. Moving pictures are refused, for one frame is not what was sent.
    """
    try:
        with PIL.Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
            if getattr(image, "is_animated", False) and image.format != "MPO":
                raise _refusal("A moving picture; send a single one.")
            media_type, format_, options = _FORMATS[str(image.format)]
            turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
            plain = _plain(image if turn is None else image.transpose(turn))
    except _BOMBS:
        raise _refusal(f"More than {MAX_PIXELS:,} pixels.") from None
    except _UNSOUND:
        raise _refusal("Not a sound PNG, JPEG or WebP picture.") from None
    file = io.BytesIO()
    plain.save(file, format_, **options)
    return Picture(file.getvalue(), media_type, *plain.size, difference_hash(plain))


def difference_hash(image: PIL.Image.Image) -> int:
    """Return 64 bits as a signed number: is each spot darker than its right neighbour?

    Of the picture in 9 x 8 greys (Krawetz, "Kind of Like That", 2013).
    """
    greys = image.convert("L").resize((9, 8), PIL.Image.Resampling.BOX).tobytes()
    spots = [9 * row + column for row in range(8) for column in range(8)]
    bits = sum(1 << place for place, spot in enumerate(spots) if greys[spot] < greys[spot + 1])
    return bits - 2**64 if bits >= 2**63 else bits


def _plain(image: PIL.Image.Image) -> PIL.Image.Image:
    """Return the pixels alone, as 8 bits of red, green and blue, with alpha where there is any."""
    if image.mode.startswith("I"):  # 16 bits of grey, which a conversion would clip to white
        image = image.convert("I").point(lambda grey: grey / 256).convert("L")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    image.load()
    plain = image if image.mode == mode else image.convert(mode)  # a copy may take 100 MB
    plain.info.clear()
    return plain


def _refusal(detail: str) -> Malformed:
    return malformed("/file", detail)
