import random
import uuid

import pytest

from privacy.redaction import Rules, redact

REGIONS = Rules(regions=("US", "GB", "DE", "DK"))
RANDOM = "q7Rk2Vx9Lm4Tz8Wb3Np6Yc1Hd5Jf0Sg7Qa"
UUID = "550e8400-e29b-41d4-a716-446655440000"
CARD = "4111111111111111"


def test_it_works():
    assert redact("From 00:1A:2B:3C:4D:5E").value == "From [MAC_ADDRESS]"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Write to Ann.O'Neil+news@mail.example.co.uk.", "Write to [EMAIL]."),
        ("_bob@example.com_, mailto:eve@xn--bcher-kva.example", "[EMAIL]_, mailto:[EMAIL]"),
        ("https://a.example/?to=ann@example.com", "https://a.example/?to=[EMAIL]"),
        ("ann@example.com-thanks ann@example.com2", "[EMAIL]-thanks [EMAIL]2"),
        ("ann%40example.com?to=a%2Bb%40c.example&x", "[EMAIL]?to=[EMAIL]&x"),
        (
            "ann@example.com\u307e\u3067" + "\u3042" * 30,
            "[EMAIL]\u307e\u3067" + "\u3042" * 30,
        ),
        ("\u3042" * 70 + "ann@example.com", "\u3042" * 70 + "[EMAIL]"),
        ("\u0438\u0432\u0430\u043d@\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444", "[EMAIL]"),
        ("Pay 4111-1111-1111-1111 12/27", "Pay [CREDIT_CARD] 12/27"),
        ("378282246310005, 6011 1111 1111 1117", "[CREDIT_CARD], [CREDIT_CARD]"),
        ("3782 822463 10005", "[CREDIT_CARD]"),
        ("4111 1111 1111 1111 123", "[CREDIT_CARD] 123"),
        ("\uff14\uff11\uff11\uff11 1111 1111 1111", "[CREDIT_CARD]"),
        ("IBAN GB29 NWBK 6016 1331 9268 19 and more", "IBAN [IBAN] and more"),
        ("de89370400440532013000", "[IBAN]"),
        ("192.168.10.7:8080 and 2001:db8::8a2e:370:7334.", "[IP_ADDRESS]:8080 and [IP_ADDRESS]."),
        (
            "http://203.0.113.9/x fe80::1 2001:db8::",
            "http://[IP_ADDRESS]/x [IP_ADDRESS] [IP_ADDRESS]",
        ),
        ("ping ::1 or ::ffff:203.0.113.9", "ping [IP_ADDRESS] or [IP_ADDRESS]"),
        ("aa-bb-cc-dd-ee-0f aabb.ccdd.ee0f", "[MAC_ADDRESS] [MAC_ADDRESS]"),
        (
            "git clone https://ann:pass@host.example/a",
            "git clone https://[URL_CREDENTIALS]@host.example/a",
        ),
        ("postgres://:hunter@10.0.0.1/db", "postgres://[URL_CREDENTIALS]@[IP_ADDRESS]/db"),
    ],
)
def test_addresses_and_accounts_go(text, clean):
    assert redact(text).value == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"\u5361\u53f7{CARD}\u3002", "\u5361\u53f7[CREDIT_CARD]\u3002"),
        (
            f"\u6211\u7684\u5361\u53f7\u662f{CARD}\u3067\u3059",
            "\u6211\u7684\u5361\u53f7\u662f[CREDIT_CARD]\u3067\u3059",
        ),
        ("IBAN\u306fDE89370400440532013000\u3067\u3059", "IBAN\u306f[IBAN]\u3067\u3059"),
        ("\u8eab\u4efd\u8bc1\u53f711010519491231002X", "\u8eab\u4efd\u8bc1\u53f7[NATIONAL_ID]"),
        ("IP\u5730\u5740192.168.0.1\u3092", "IP\u5730\u5740[IP_ADDRESS]\u3092"),
        ("\u7535\u8bdd13800138000\u8c22\u8c22", "\u7535\u8bdd[PHONE]\u8c22\u8c22"),
        ("\u6211\u7684\u96fb\u8a71\u662f 02-2345-6789", "\u6211\u7684\u96fb\u8a71\u662f [PHONE]"),
        ("\u0442\u0435\u043b. 8 916 123-45-67", "\u0442\u0435\u043b. [PHONE]"),
        ("\u5bc6\u7801password: hunter2a", "\u5bc6\u7801password: [SECRET]"),
        ("Tel4155552671 fax030/12345-67", "Tel[PHONE] fax[PHONE]"),
        (
            f"user_{CARD} mynumber{CARD}, VISA{CARD}",
            "user_[CREDIT_CARD] mynumber[CREDIT_CARD], VISA[CREDIT_CARD]",
        ),
        ("https://x.example/?tel=+14155552671", "https://x.example/?tel=[PHONE]"),
        ("https://x.example/?tel=%2B14155552671&a=1", "https://x.example/?tel=%2B[PHONE]&a=1"),
        (f"https://x.example/?a=1&cc={CARD}", "https://x.example/?a=1&cc=[CREDIT_CARD]"),
        (f"https://x.example/\n{CARD}", "https://x.example/\n[CREDIT_CARD]"),
        ("4111\n1111\n1111\n1111\n12/27", "[CREDIT_CARD]\n12/27"),
        ("4111\t1111\t1111\t1111, 4111_1111_1111_1111", "[CREDIT_CARD], [CREDIT_CARD]"),
        ("4111 1111\r\n1111 1111", "[CREDIT_CARD]"),
    ],
)
def test_numbers_go_that_touch_a_word_or_break(text, clean):
    assert redact(text).value == clean


@pytest.mark.parametrize(
    "text",
    [
        f"ORDER{CARD} order_{CARD} TXN{CARD} sku{CARD} my_ref_{CARD}",
        f"https://x.example/{CARD}?id={CARD}&order={CARD}&hotel=4155552671",
        "https://x.example/4111-1111-1111-1111",
        "1a4111111111111111 4111111111111111ab call_5551234567 img_20240115123045",
        "4111\t1111\t1111\t1111\t1111 4012\n4012\n4012\n4012",
        "chrome113.0.48.1 \u8ba2\u5355\u53f74111111111111111 numpy@1.2.rc3",
    ],
)
def test_parts_of_other_names_stay(text):
    assert redact(text, REGIONS) == (text, {}, False)


def test_uuids_stay():
    drawn = random.Random(7)
    rules = Rules(regions=("US", "DE", "FR"))
    for number in range(100_000):
        text = str(uuid.UUID(int=drawn.getrandbits(128), version=4))
        text = f"Bob 2024 {text}, 12" if number % 10 == 0 else text
        assert redact(text, rules) == (text, {}, False)


def test_what_stands_beside_a_uuid_goes():
    text = f"{UUID} {CARD} call 5550123 {UUID.upper()} {UUID}@example.com password: {UUID}"
    clean = f"{UUID} [CREDIT_CARD] call [PHONE] {UUID.upper()} [EMAIL] password: [SECRET]"
    assert redact(text).value == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Call 555-0123 or 555-0124", "Call [PHONE] or [PHONE]"),
        ("my number is 07700 900123", "my number is [PHONE]"),
        ("Tel. 030/12345-67, fax: (030) 1234568", "Tel. [PHONE], fax: [PHONE]"),
        ("mobile: 345-899-3560x4587", "mobile: [PHONE]"),
        ("text me on 0412 345 678!", "text me on [PHONE]!"),
        ("WhatsApp +49 (0)30 901820", "WhatsApp [PHONE]"),
        ("0049 30 901820 or 001-202-456-1111", "[PHONE] or [PHONE]"),
        ("tel 020 7946 0958 / 020 7946 0959", "tel [PHONE] / [PHONE]"),
        ("ring +44 20 7946 0958 12 times", "ring [PHONE] 12 times"),
        ("call Detective Ann O'Shea at 555-0123", "call Detective Ann O'Shea at [PHONE]"),
        ("020 7946 0991 office", "[PHONE] office"),
    ],
)
def test_phones_go(text, clean):
    assert redact(text).value == clean


def test_numbers_of_neighbours_under_the_same_code_are_dialled_alike():
    assert redact("registered 905-674-3793.", Rules(regions=("US",))).counts == {"PHONE": 1}
    assert redact("registered 905-674-3793.", Rules(regions=("GB",))).counts == {}


def test_national_phones_need_their_region():
    text = "Reply to 020 7946 0958, then 202-456-1111"
    assert redact(text) == (text, {}, True)
    british = Rules(regions=("GB",))
    assert redact(text, british).value == "Reply to [PHONE], then 202-456-1111"
    assert redact(text, Rules(regions=("US", "GB"))).counts == {"PHONE": 2}


@pytest.mark.parametrize(
    "number",
    [
        *("536-22-1234", "529.982.247-25", "85.07.30-033.28", "2 55 08 14 168 025 38"),
        *(
            "RSSMRA85T10A562S",
            "131052-308T",
            "AB123456C",
            "11010519491231002X",
            "NINO: AB 12 34 56 C",
        ),
        *("SSN: 536221234", "my social security number is 536 22 1234", "passport no. X1234567"),
        *(
            "NHS number 943 476 5919",
            "DNI 12345678Z",
            "Aadhaar 2345 6789 0124",
            "PESEL 44051401359",
        ),
    ],
)
def test_national_ids_go(number):
    assert redact(f"It says {number}, as ever.").counts == {"NATIONAL_ID": 1}


@pytest.mark.parametrize(
    "secret",
    [
        "AKIA" + "IOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 9,
        "sk-" + "proj-a1B2c3D4e5F6g7H8",
        "xoxb-" + "1234567890-abc",
        "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxIn0." + "c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIB1q7R" * 9 + "\n-----END RSA PRIVATE KEY-----",
        "emd_sk_" + "a1B2" * 6,
        RANDOM,
    ],
)
def test_secrets_of_known_form_go_and_are_told(secret):
    assert redact(f"use {secret} here") == ("use [SECRET] here", {"SECRET": 1}, True)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("my password is hunter2", "my password is [SECRET]"),
        ("Password: Tr0ub4dor&3!", "Password: [SECRET]&3!"),
        ('{"api_key": "9f86d081884c7d65"}', '{"api_key": "[SECRET]"}'),
        ("https://a.example/?token=ab12cd34ef&x=1", "https://a.example/?token=[SECRET]&x=1"),
        ("Authorization: Bearer abc123def456", "Authorization: Bearer [SECRET]"),
        ("the pin is 4821.", "the pin is [SECRET]."),
    ],
)
def test_secrets_beside_a_word_go(text, clean):
    assert redact(text) == (clean, {"SECRET": 1}, True)


@pytest.mark.parametrize(
    "address",
    [
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
        "0x52908400098527886E0F7030069857D2E4169EE7",
    ],
)
def test_crypto_addresses_go(address):
    assert redact(f"Send it to {address}.") == (
        "Send it to [CRYPTO_ADDRESS].",
        {"CRYPTO_ADDRESS": 1},
        False,
    )


@pytest.mark.parametrize(
    "text",
    [
        "Order 4111111111111112 came on 2024-01-15 at 12:30:45.",
        "Order number 20241231, invoice 555-0123-99, ticket #5550123456",
        "It costs $1,234,567.89 or 1.234.567,89 EUR or 12 345 678 USD",
        "We sat at 51.507351, -0.127758 from 2019-2021",
        f"{UUID} d41d8cd98f00b204e9800998ecf8427e 1e10 9780306406157",
        "commit da39a3ee5e6b4b0d3255bfef95601890afd80709, sha256-" + "aB3" * 14 + "a=",
        "see https://shop.example/orders/4111111111111111?page=02079460958",
        "version 1.2.3.4, v1.2.3.4, 1.2.3.4.5, 300.1.1.1, Chrome/99.0.48.12",
        "std::vector x[::2] x[::1] a::b :: 12:30",
        "icon@2x.png, @ann, me@home, lodash@4.17.21, git@host.example:a/b.git",
        "call me at 12:30 or on 2024-01-15",
        "GB00 NWBK 6016 1331 9268 19",
        "1700000000000 1234567890123456 0000000000000000",
        "Great place, 10/10, 5 stars, table for 4!",
        "Already [EMAIL] and [PHONE] 1234567",
        "Password: required, your password is wrong, token: string, the secret is 42-year-old rum",
        "getHTTPResponseCode200ForUserIdentifierV2 and /usr/Lib/Python3/Site/Packages/Thing2",
        "0xdeadbeef 01-02-03-04-05-06",
        "119999194912310021 is of no county",
        "12345678A is on page 12-34-5678, my ssn is wrong, born to run in 1975, 21 Jump Street",
        "The bus to 17151 2450 Crown stops here; deliver 67 boxes",
    ],
)
def test_all_else_stays_and_is_not_told(text):
    assert redact(text, REGIONS) == (text, {}, False)


@pytest.mark.parametrize(
    "text",
    [
        "try (555) 123-4567 later",
        "0170 1234567 it was",
        "I was born on 12 March 1984",
        "DOB: 1984-03-12",
        "my driver's license number is F1628235",
        "bank account 12345678",
        "she lives at 12 Acacia Road",
        "12 Acacia Road, Springfield 12345",
        "P.O. Box 123",
    ],
)
def test_what_is_likely_personal_is_told(text):
    assert redact(text) == (text, {}, True)
