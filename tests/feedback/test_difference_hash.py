"""The difference hash of a picture: near for copies, far for others, and as counted by hand."""

import io
import itertools

from PIL import Image as Pillow

from feedback import images
from tests.feedback.test_images import drawing, encoded


def distance(a, b):
    return ((a ^ b) & (2**64 - 1)).bit_count()


def test_a_copy_of_another_size_or_format_has_nearly_the_same_hash():
    original = drawing(960, 640)
    hash_ = images.difference_hash(original)
    copies = [original.resize(size) for size in ((480, 320), (97, 61), (1920, 1280))]
    copies += [
        Pillow.open(io.BytesIO(encoded(original, kind, quality=30))) for kind in ("JPEG", "WEBP")
    ]
    assert [distance(hash_, images.difference_hash(copy)) <= 6 for copy in copies] == [True] * 5


def test_other_pictures_have_other_hashes():
    base = drawing(960, 640)
    others = [
        base,
        base.transpose(Pillow.Transpose.ROTATE_180),
        Pillow.effect_mandelbrot((96, 64), (-2, -1, 1, 1), 50),
    ]
    hashes = [images.difference_hash(image) for image in others]
    assert all(distance(a, b) > 6 for a, b in itertools.combinations(hashes, 2))


def test_the_hash_is_counted_by_hand():
    """Bit 8 * row + column is set where the right neighbour is lighter; the last is the sign."""
    image = Pillow.new("L", (9, 8))
    assert images.difference_hash(image) == 0
    image.putpixel((1, 0), 255)
    assert images.difference_hash(image) == 1
    image.putpixel((8, 7), 255)
    assert images.difference_hash(image) == 1 - 2**63
