import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from privacy.redaction import Rules, redact

KINDS = [PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE]


def find_national_examples():
    """Yield the library's own example numbers as dialled at home, of seven digits or more."""
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in KINDS:
            example = phonenumbers.example_number_for_type(region, kind)
            if example and len(str(example.national_number)) >= 7:
                yield region, phonenumbers.format_number(example, PhoneNumberFormat.NATIONAL)


def test_phones_of_the_region_go():
    missed = [
        (region, number)
        for region, number in find_national_examples()
        if redact(f"Bob {number} thanks", Rules(regions=(region,))).counts != {"PHONE": 1}
    ]
    assert len(missed) <= 3, missed


@pytest.mark.parametrize(
    ("region", "number"),
    [("IN", "9876543210"), ("CN", "13800138000"), ("SG", "8123 4567"), ("HK", "8123 4567")],
)
def test_phones_dialled_without_a_leading_zero_go(region, number):
    assert redact(f"Bob {number} thanks", Rules(regions=(region,))).counts == {"PHONE": 1}
    assert redact(f"Bob {number} thanks", Rules(regions=("DE",))).counts == {}


def test_a_post_code_and_a_house_number_stay():
    text = "to 17151 2450 Crown, 2450 123 Main"
    assert redact(text, Rules(regions=("DK", "AU", "NZ"))).counts == {}
