import time

import pytest

from privacy.redaction import Rules, redact

REGIONS = Rules(regions=("US", "GB", "DE", "DK"))


def test_it_works():
    text = "Mail ann@example.com or call +44 20 7946 0958, card 4111 1111 1111 1111."
    clean, counts, is_sensitive = redact(text)
    assert clean == "Mail [EMAIL] or call [PHONE], card [CREDIT_CARD]."
    assert counts == {"EMAIL": 1, "PHONE": 1, "CREDIT_CARD": 1}
    assert not is_sensitive


@pytest.mark.parametrize(
    "value",
    [
        "a@b.example/4111111111111111/1.2.3.4",
        "call 4111111111111111 5550123, +44 20 7946 0958 1234567",
        "1.2.3.4 5.6.7.8 a@b.example,c@d.example 2001:db8::1/1.2.3.4",
        "GB29NWBK60161331926819 4111111111111111 phone 5550123",
        "password: hunter2a, password: [SECRET] token=abc123def4",
        "https://ann:pass@host.example my ssn is 536-22-1234 and 536-22-1235",
        "+442079460958+442079460958 1.2.3.4/5.6.7.8/9.10.11.12",
        {"password": "swordfish", "phone": [5551234567, "555-1234"], "a@b.example": "a@b.example"},
    ],
)
def test_twice_is_the_same_as_once(value):
    once, counts, _ = redact(value, REGIONS)
    assert counts
    assert redact(once, REGIONS)[:2] == (once, {})


def test_json_is_copied_with_strings_and_keys_redacted():
    value = {"by": ["ann@example.com", 5, None, True], "eve@example.com": {"note": "fine"}}
    clean, counts, _ = redact(value)
    assert clean == {"by": ["[EMAIL]", 5, None, True], "[EMAIL]": {"note": "fine"}}
    assert counts == {"EMAIL": 2}
    assert value["by"][0] == "ann@example.com"


def test_keys_that_become_equal_are_all_kept():
    value = {"a@b.example": 1, "c@d.example": 2, "[EMAIL]": 3}
    clean = redact(value).value
    assert clean == {"[EMAIL] (2)": 1, "[EMAIL] (3)": 2, "[EMAIL]": 3}
    assert redact(clean)[:2] == (clean, {})


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        ({"phone": "5551234567"}, {"phone": "[PHONE]"}),
        ({"phoneNumber": 5551234567}, {"phoneNumber": "[PHONE]"}),
        ({"mobile": ["5551234567", 5551234568]}, {"mobile": ["[PHONE]", "[PHONE]"]}),
        ({"ssn": 536221234}, {"ssn": "[NATIONAL_ID]"}),
        ({"password": "swordfish"}, {"password": "[SECRET]"}),
        ({"db_password": "x7"}, {"db_password": "x7"}),
        ({"pin": 1234}, {"pin": "[SECRET]"}),
        ({"apiKey": "9f86d081884c7d65"}, {"apiKey": "[SECRET]"}),
    ],
)
def test_a_key_speaks_for_its_value(value, clean):
    assert redact(value).value == clean


@pytest.mark.parametrize(
    "value",
    [
        {"order_id": "5551234567", "id": 5551234567, "call_id": "5551234"},
        {"order_id": 4111111111111111},
        {"token": "lemma", "tokens": 15043, "max_token": 512, "secret": "I love this film"},
        {"password": "required", "pin": "left"},
        {"bbox": [10, 20, 1200, 1800], "at": 1700000000, "ms": 1700000000000},
    ],
)
def test_a_key_for_something_else_leaves_its_value(value):
    assert redact(value) == (value, {}, False)


def test_a_whole_number_is_looked_at():
    assert redact({"note": [4111111111111111, 4111111111111112]}) == (
        {"note": ["[CREDIT_CARD]", 4111111111111112]},
        {"CREDIT_CARD": 1},
        False,
    )


def test_other_scripts_are_read_like_ascii_and_kept():
    text = "\u00bfann\uff20example.com? \uff0b44 20\u00a07946\u20110958, \u0662\u0664 \uff21\uff22"
    assert redact(text).value == "\u00bf[EMAIL]? [PHONE], \u0662\u0664 \uff21\uff22"


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "1 ",
            "a.",
            "a@",
            ":",
            "1.",
            "_1",
            "a-",
            "aB3/",
            "://",
            "a://b:c@",
            "[",
            "[EMAIL]",
            "1((",
        ),
        *("4111 1111 1111 1111 ", "call 5550123, ", ", 5550123", "+44 20 7946 0958", "1234567 x "),
        *("a@b.example_", "GB29 NWBK 6016 1331 9268 18 ", "AA11 ", "123456-7890 ", "12345 Main "),
        *("password: ", "token=a1b2c3d4 ", "my ssn is ", "ssn 1", "born on ", "eyJaaaaaaaaaaaa."),
        *("-----BEGIN PRIVATE KEY-----", "1A1zP1eP5QGefi2DMPTfTL5SLmv7Divf ", "aa:bb:cc:dd:ee:f "),
        *("acme ", "\uff20", "\u0663 ", "1 a a a a road "),
        *("\u3042", "\u30421", "%40a", "a%40b.", "user_411", "4111\n", "a@b.c-d", "a@\u3042."),
        *("550e8400-e29b-41d4-a716-446655440000 ", "https://a.b/?cc=4111111111111111&"),
    ],
)
def test_a_hostile_text_takes_linear_time(piece):
    rules = Rules(regions=("US", "GB"), terms=("acme corp",), patterns=(("CODE", "(a|b)+c"),))

    def seconds(length):
        text = "call 5550123 " + piece * (length // len(piece))
        started = time.process_time()
        redact(text, rules)
        return time.process_time() - started

    # Four times the text, so that even a noisy clock tells 4 from 16.
    assert seconds(64_000) < 9 * min(seconds(16_000) for _ in range(2)) + 0.1


def test_many_equal_keys_take_linear_time():
    def seconds(count):
        value = {f"a{number}@b.example": 1 for number in range(count)}
        started = time.process_time()
        redact(value)
        return time.process_time() - started

    assert seconds(8_000) < 9 * min(seconds(2_000) for _ in range(2)) + 0.1
