"""Uploads: what is taken in, what is refused, and that nothing of a picture's metadata stays."""

import contextlib
import io
import struct
import time
import uuid
import zlib
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from PIL import Image as Pillow
from PIL import ImageDraw, ImageOps
from PIL.PngImagePlugin import PngInfo

from feedback import images
from feedback.models import Image
from privacy import consent
from privacy.models import DataSubject, IdempotencyKey, Purpose
from tests.privacy.tokens import Signer
from tests.product import Product, answered, problem

pytestmark = pytest.mark.django_db
CANARY = b"47.3769N 8.5417E ann"
ORIENTATION, DESCRIPTION, GPS = 0x0112, 0x010E, 0x8825


@pytest.fixture(autouse=True)
def _own_storage(settings, tmp_path):
    settings.STORAGE_URL = str(tmp_path / "storage")


@pytest.fixture
def shop():
    return Product("shop")


@pytest.fixture
def stranger():
    return Product("stranger")


def drawing(width=96, height=64, mode="RGB", shift=0):
    """Return a picture with something in each corner, so that turns and hashes show."""
    image = Pillow.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width // 3, height // 4), "navy")
    draw.ellipse((width // 2 + shift, height // 3, width - 8 + shift, height - 8), "orange")
    draw.line((0, height, width // 2, height // 2), "black", width=max(1, width // 24))
    return image.convert(mode)


def encoded(image=None, kind="PNG", **options):
    file = io.BytesIO()
    (image or drawing()).save(file, kind, **options)
    return file.getvalue()


def stored(row):
    return Pillow.open(io.BytesIO(images.load(row)))


def files():
    return [path for path in Path(django_settings.STORAGE_URL).rglob("*") if path.is_file()]


def send(product, data=None, parts=None, **headers):
    """Post a form with one file; `parts` are added, or take a part's place."""
    file = SimpleUploadedFile("picture", encoded() if data is None else data)
    form = {"file": file} | (parts or {})
    return product.client.generic(
        "POST",
        "/api/v1/images/",
        encode_multipart(BOUNDARY, {name: part for name, part in form.items() if part is not None}),
        content_type=MULTIPART_CONTENT,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def upload(product, data=None, **parts):
    return answered(send(product, data, parts), 201)


def refused(answer, pointer, status=400, code="api.malformed"):
    """Assert a refusal at that place which left nothing behind."""
    document = problem(answer, status, code)
    assert [error["pointer"] for error in document["errors"]] == (
        [] if pointer is None else [pointer]
    )
    assert not Image.objects.exists()
    assert not DataSubject.objects.exists()
    assert files() == []


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb():
    """Return a small PNG that says that it is 900 million pixels when decoded."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(1_000_000)))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


def moving(kind):
    frames = [drawing(shift=8 * step) for step in range(3)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


def with_exif(kind, **options):
    exif = Pillow.Exif()
    exif[DESCRIPTION] = CANARY.decode()
    exif.get_ifd(GPS)[2] = (47.0, 22.0, 36.8)
    return encoded(kind=kind, exif=exif, **options)


def test_it_works(shop):
    document = upload(shop, user_id="ann")
    row = Image.objects.get()
    assert document == {"id": str(row.uuid), "sha256": row.sha256, "width": 96, "height": 64}
    assert (row.user_id, row.is_verified, row.media_type) == ("ann", True, "image/png")
    assert stored(row).convert("RGB").tobytes() == drawing().tobytes()
    assert DataSubject.objects.get().user_id == "ann"


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")]
    + [("JPEG", mode) for mode in ("L", "RGB", "CMYK")]
    + [("WEBP", mode) for mode in ("RGB", "RGBA")],
)
def test_each_format_stays_what_it_is(shop, kind, mode):
    upload(shop, encoded(drawing(mode=mode), kind))
    row = Image.objects.get()
    assert stored(row).format == kind
    assert row.media_type == f"image/{kind.lower()}"


def test_transparency_is_kept(shop):
    upload(shop, encoded(Pillow.new("RGBA", (4, 4), (10, 20, 30, 40))))
    assert stored(Image.objects.get()).getpixel((0, 0)) == (10, 20, 30, 40)


def test_sixteen_bits_of_grey_are_not_clipped(shop):
    upload(shop, encoded(Pillow.new("I;16", (4, 4), 0x8000)))
    assert stored(Image.objects.get()).getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_nothing_of_the_metadata_is_stored(shop, kind):
    options = {"comment": CANARY} if kind == "JPEG" else {"xmp": CANARY}
    if kind == "PNG":
        info = PngInfo()
        info.add_text("Author", CANARY.decode())
        info.add_itxt("Place", CANARY.decode())
        options = {"pnginfo": info, "dpi": (300, 300)}
    data = with_exif(kind, icc_profile=CANARY * 20, **options)
    assert CANARY in data
    upload(shop, data + CANARY)
    row = Image.objects.get()
    assert CANARY not in images.load(row)
    image = stored(row)
    assert dict(image.getexif()) == {}
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"} | (
        {"loop", "background", "timestamp", "duration"} if kind == "WEBP" else set()
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(shop, orientation):
    exif = Pillow.Exif()
    exif[ORIENTATION] = orientation
    data = encoded(exif=exif)
    upright = ImageOps.exif_transpose(Pillow.open(io.BytesIO(data)))
    document = upload(shop, data)
    assert (document["width"], document["height"]) == upright.size
    assert stored(Image.objects.get()).convert("RGB").tobytes() == upright.tobytes()


def test_the_same_picture_is_one_file_and_two_rows(shop, stranger):
    first, second, other = upload(shop), upload(shop), upload(stranger)
    assert first["sha256"] == second["sha256"] == other["sha256"]
    assert len({first["id"], second["id"], other["id"]}) == Image.objects.count() == 3
    assert [path.name for path in files()] == [first["sha256"]]


@pytest.mark.parametrize(
    "data",
    {
        "empty": b"",
        "text": b"no picture at all",
        "html": b"<html><script>alert(1)</script></html>",
        "gif": encoded(kind="GIF"),
        "bmp": encoded(kind="BMP"),
        "tiff": encoded(kind="TIFF"),
        "magic bytes only": b"\x89PNG\r\n\x1a\n",
        "wrong magic bytes": b"\xff\xd8\xff\xe0" + encoded(),
        "half a PNG": encoded()[:150],
        "half a JPEG": encoded(kind="JPEG")[:-300],
        "half a WebP": encoded(kind="WEBP")[:-60],
        "a PNG with a wrong checksum": encoded()[:-30] + b"\0" * 30,
        "a moving PNG": moving("PNG"),
        "a moving WebP": moving("WEBP"),
        "a bomb": bomb(),
        "a compressed text of 100 MB": encoded()[:33]
        + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000)))
        + encoded()[33:],
        "no pixels": b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 0, 8, 2, 0, 0, 0))
        + chunk(b"IEND", b""),
    }.items(),
    ids=lambda item: item[0],
)
def test_what_is_no_sound_picture_is_refused(shop, data):
    refused(send(shop, data[1], {"user_id": "ann"}), "/file")


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_picture_has_a_largest_size(shop, kind):
    at_most = encoded(Pillow.new("L", (images.MAX_PIXELS // 10_000, 10_000)), "PNG")
    assert images.read_picture(at_most).height == 10_000
    options = {"method": 0} if kind == "WEBP" else {}
    larger = encoded(Pillow.new("L", (images.MAX_PIXELS // 10_000 + 1, 10_000)), kind, **options)
    answer = send(shop, larger)
    refused(answer, "/file")
    assert "pixels" in answer.json()["detail"]


def test_a_bomb_is_refused_before_it_is_decoded(shop):
    started_at = time.perf_counter()
    upload(shop)
    usual = time.perf_counter() - started_at
    started_at = time.perf_counter()
    document = problem(send(shop, bomb()), 400, "api.malformed")
    assert time.perf_counter() - started_at < 20 * usual
    assert "pixels" in document["detail"]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_no_damage_is_a_failure_of_the_server(kind):
    """Flip bytes all over a picture with metadata: it is read, or refused as malformed."""
    sound = bytearray(with_exif(kind))
    for place in range(0, len(sound), max(1, len(sound) // 150)):
        damaged = bytearray(sound)
        damaged[place] ^= 0xFF
        with contextlib.suppress(images.Malformed):
            assert images.read_picture(bytes(damaged)).data


def part(name, value, filename=None):
    named = "" if filename is None else f'; filename="{filename}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + value + b"\r\n"


FILE = part("file", encoded(), "a.png")


@pytest.mark.parametrize(
    ("body", "pointer"),
    {
        "nothing": ((), "/file"),
        "two files": ((FILE, FILE), "/file"),
        "a file and a text of one name": ((FILE, part("file", b"x")), "/file"),
        "the file as a text": ((part("file", encoded()),), "/file"),
        "a file without a name": ((part("file", encoded(), ""),), "/file"),
        "two users": ((FILE, part("user_id", b"a"), part("user_id", b"b")), "/user_id"),
        "a user as a file": ((FILE, part("user_id", b"ann", "a.txt")), "/user_id"),
        "an odd user": ((FILE, part("user_id", b"a b")), "/user_id"),
        "a NUL": ((FILE, part("user_id", b"a\0")), "/user_id"),
        "no UTF-8": ((FILE, part("user_id", b"\xff\xfe")), "/user_id"),
        "an empty user": ((FILE, part("user_id", b"")), "/user_id"),
        "an unknown part": ((FILE, part("a/b", b"x")), "/a~1b"),
        "an unknown file": ((FILE, part("mask", encoded(), "b.png")), "/mask"),
    }.values(),
)
def test_an_odd_form_is_refused_with_its_place(shop, body, pointer):
    form = b"".join(body) + f"--{BOUNDARY}--\r\n".encode()
    answer = shop.client.generic("POST", "/api/v1/images/", form, content_type=MULTIPART_CONTENT)
    refused(answer, pointer)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", MULTIPART_CONTENT),
        (b"no parts", MULTIPART_CONTENT),
        (FILE[:80], MULTIPART_CONTENT),
        (FILE, "multipart/form-data"),
        (FILE, "multipart/form-data; boundary=" + "x" * 300),
        (part("n", b"x") * 1_500, MULTIPART_CONTENT),
    ],
)
def test_what_is_no_form_is_refused(shop, body, content_type):
    answer = shop.client.generic("POST", "/api/v1/images/", body, content_type=content_type)
    problem(answer, 400, "api.malformed")
    assert not Image.objects.exists()


@pytest.mark.parametrize("content_type", ["application/json", "image/png", "text/plain", ""])
def test_another_media_type_is_refused(shop, content_type):
    answer = shop.client.generic("POST", "/api/v1/images/", b"{}", content_type=content_type)
    refused(answer, None, 415, "api.unsupported_media_type")


def test_an_upload_too_large_is_refused_before_it_is_read(shop):
    class Untouched:
        def read(self, *_args):
            raise AssertionError("read")

        readline = read

    length = 20 * 1024 * 1024 + 1
    answer = shop.client.generic(
        "POST",
        "/api/v1/images/",
        b"x",
        content_type=MULTIPART_CONTENT,
        **{"CONTENT_LENGTH": length, "wsgi.input": Untouched()},
    )
    refused(answer, None, 413, "api.too_large")


def test_what_arrives_never_touches_the_disk(shop, settings, tmp_path):
    """A large upload is one that a server would put in a temporary file while it arrives."""
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "missing")  # to write there would fail
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 1
    upload(shop, with_exif("PNG"))


def test_with_a_full_disk_nothing_is_stored(shop, settings):
    settings.MINIMUM_FREE_DISK_BYTES = 2**60
    refused(send(shop, parts={"user_id": "ann"}), None, 503, "api.unavailable")


def test_pictures_are_decoded_a_few_at_a_time(shop, monkeypatch):
    """Each takes memory: who finds no place is to come again."""
    monkeypatch.setattr(images, "WAIT_SECONDS", 0.01)
    with images._DECODERS, images._DECODERS:
        answer = send(shop, parts={"user_id": "ann"})
        assert answer.headers["Retry-After"].isdecimal()
        refused(answer, None, 503, "api.unavailable")
    upload(shop)
    problem(send(shop, b"no picture"), 400, "api.malformed")
    with images._DECODERS, images._DECODERS:
        assert not images._DECODERS.acquire(blocking=False)


def test_a_file_that_cannot_be_written_leaves_no_row(shop, settings, tmp_path):
    (tmp_path / "file").touch()
    settings.STORAGE_URL = str(tmp_path / "file")
    refused(send(shop, parts={"user_id": "ann"}), None, 503, "api.unavailable")
    assert not Image.objects.exists()
    assert not DataSubject.objects.exists()


@pytest.mark.parametrize("default", ["granted", "withheld"])
def test_without_consent_nothing_is_stored(shop, default):
    shop.project.consent_default = default
    shop.project.save()
    if default == "granted":
        consent.decide(
            project=shop.project, user_id="ann", purpose=Purpose.COLLECTION, is_granted=False
        )
    code = {"granted": "privacy.opted_out", "withheld": "privacy.no_consent"}[default]
    problem(send(shop, parts={"user_id": "ann"}), 403, code)
    assert not Image.objects.exists()
    assert files() == []


def test_a_capture_key_says_whose_picture_it_sends(shop):
    page = shop.capture_key()
    refused(send(page), "/user_id")
    upload(page, user_id="ann")
    assert not Image.objects.get().is_verified


@pytest.mark.parametrize("scope", ["capture", "manage"])
def test_a_token_says_whose_picture_it_is(shop, scope):
    sender, token = Product("shop", scope=scope), Signer(shop.project).token("ann")
    upload(sender, user_token=token)
    upload(sender, user_token=token, user_id="ann")
    answered(send(sender, Emend_User=token), 201)
    assert set(Image.objects.values_list("user_id", "is_verified")) == {("ann", True)}


@pytest.mark.parametrize(
    ("parts", "pointer"),
    [({"user_token": "x"}, None), ({"user_token": ""}, None), ({"user_id": "bob"}, "/user_token")],
)
def test_a_bad_token_or_one_of_another_stores_no_picture(shop, parts, pointer):
    token = Signer(shop.project).token("ann")
    answer = send(shop.capture_key(), parts={"user_token": token} | parts)
    refused(answer, pointer, 403, "api.forbidden")


def test_without_a_token_a_picture_is_unverified_or_refused(shop):
    upload(shop.capture_key(), user_id="ann")
    assert not Image.objects.get().is_verified
    Image.objects.all().delete()
    shop.project.identity_mode = "enforce"
    shop.project.save()
    answer = send(shop.capture_key(), parts={"user_id": "ann"})
    problem(answer, 403, "api.forbidden")
    assert not Image.objects.exists()
    upload(shop, user_id="ann")


def test_the_same_picture_of_two_people_is_two_uploads(shop):
    signer, page = Signer(shop.project), shop.capture_key()
    answers = [
        send(page, Idempotency_Key="k", Emend_User=signer.token(sub, life_seconds=life))
        for sub, life in [("ann", 60), ("ann", 90), ("bob", 60)]
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 422]
    assert Image.objects.get().user_id == "ann"


def test_an_idempotency_key_stores_once(shop):
    first = send(shop, Idempotency_Key="k")
    again = send(shop, Idempotency_Key="k")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert Image.objects.count() == 1
    for other in ({"user_id": "ann"}, {"file": SimpleUploadedFile("b", encoded(kind="JPEG"))}):
        answer = send(shop, parts=other, Idempotency_Key="k")
        problem(answer, 422, "api.idempotency_mismatch")


def test_a_refused_upload_uses_no_key_up(shop):
    problem(send(shop, b"no picture", Idempotency_Key="k"), 400, "api.malformed")
    assert not IdempotencyKey.objects.exists()
    assert send(shop, Idempotency_Key="k").status_code == 201


def test_its_owner_reads_all_of_it(shop):
    made = upload(shop, encoded(kind="JPEG"), user_id="ann")
    more = shop.get(f"images/{made['id']}/")
    assert made.items() <= more.items()
    assert more.keys() - made.keys() == {"media_type", "user_id", "is_verified", "created_at"}
    assert (more["user_id"], more["media_type"]) == ("ann", "image/jpeg")


def test_the_picture_is_saved_not_shown(shop):
    id_ = upload(shop, encoded(kind="WEBP"))["id"]
    answer = shop.send("GET", f"images/{id_}/file/")
    assert answer.content == images.load(Image.objects.get())
    assert answer.headers["Content-Type"] == "image/webp"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{id_}.webp"'


def test_a_capture_key_sees_that_it_sent_a_picture_and_no_more(shop):
    page, other = shop.capture_key(), shop.capture_key()
    id_ = upload(page, user_id="ann")["id"]
    assert page.get(f"images/{id_}/").keys() == {"id", "created_at"}
    other.refused("GET", f"images/{id_}/", status=404, code="api.not_found")
    page.refused("GET", f"images/{id_}/file/", status=403, code="api.forbidden")


def test_a_stranger_sees_nothing(shop, stranger):
    id_ = upload(shop)["id"]
    for address in (f"images/{id_}/", f"images/{id_}/file/", f"images/{uuid.uuid4()}/"):
        stranger.refused("GET", address, status=404, code="api.not_found")
    assert images.existing(stranger.project.pk, {id_}) == set()


def test_existing_images_are_known_in_one_query(shop, django_assert_num_queries):
    ids = {upload(shop)["id"] for _ in range(3)}
    with django_assert_num_queries(1):
        assert images.existing(shop.project.pk, {*ids, str(uuid.uuid4())}) == ids
    assert images.existing(shop.project.pk, set()) == set()


def test_a_damaged_file_is_a_documented_error(shop):
    id_ = upload(shop)["id"]
    files()[0].write_bytes(b"changed")
    shop.refused("GET", f"images/{id_}/file/", status=500, code="api.file_damaged")
