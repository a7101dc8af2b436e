"""Redaction: recall, misses and false findings of each type, and speed against a bare `re` scan.

python -m benchmarks.redaction [--pii FILE] [--half 0|1] [--regions US GB] [--clean FILE ...]

--pii is gzipped JSON: texts with `full_text`, `template_id` and `spans` (`entity_type`,
`start_position`, `end_position`). Tune on one half of the templates, report the other. Without
arguments a small sample of its own is measured.
"""

import argparse
import csv
import gzip
import io
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import phonenumbers

from privacy.redaction import Rules, redact

TYPES = {
    "EMAIL_ADDRESS": "EMAIL",
    "PHONE_NUMBER": "PHONE",
    "IBAN_CODE": "IBAN",
    "US_SSN": "NATIONAL_ID",
}
# Annotated, but nothing that Emend promises to take out.
NOT_PROMISED = {
    *("PERSON", "STREET_ADDRESS", "GPE", "ORGANIZATION", "DATE_TIME", "TITLE", "AGE", "NRP"),
    *("ZIP_CODE", "DOMAIN_NAME", "US_DRIVER_LICENSE"),
}
FLOOR = re.compile(r"[\d@:]")
WORD_BEFORE = re.compile(
    r"(?:phone|call|mobile|desk|fax|tel|answering|messages)\b.{0,12}\Z", re.I | re.S
)
WORD_AFTER = re.compile(r"\W{1,2}(?:office|fax|mobile)", re.IGNORECASE)
PLACEHOLDER = re.compile(r"\[([A-Z_]+)\]")
CLEAN_ROWS = 2000
SAMPLE = """\
Mail <EMAIL:ann.lee@example.com>, or <EMAIL:o'neil+shop@mail.example.co.uk> on order 20241231-77.
Please call <PHONE:07700 900123> or <PHONE:+49 30 901820> before 12:30 on 2024-01-15.
fax: <PHONE:(555) 010-4477>, invoice 555-0123-99, it was $1,234,567.89
My card <CREDIT_CARD:4111 1111 1111 1111> and <CREDIT_CARD:378282246310005>, not 4111111111111112.
IBAN <IBAN:GB29 NWBK 6016 1331 9268 19> or <IBAN:de89370400440532013000>, id 1234567890123456
From <IP_ADDRESS:203.0.113.9> and <IP_ADDRESS:2001:db8::8a2e:370:7334>, version 1.2.3.4
The card reader is <MAC_ADDRESS:00:1A:2B:3C:4D:5E>, d41d8cd98f00b204e9800998ecf8427e its hash.
His social security number is <NATIONAL_ID:536-22-1234>, the table is 550-10-20.
Log in at https://<URL_CREDENTIALS:ann:pass>@shop.example/a?page=2 with key=value
My password is <SECRET:hunter2hunter2>, not 550e8400-e29b-41d4-a716-446655440000
Pay to <CRYPTO_ADDRESS:1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa> at 51.507351, -0.127758
"""


class Text(NamedTuple):
    full: str
    # Type, start, end.
    spans: list[tuple[str, int, int]]


def main() -> None:
    """Measure what was named, else the sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pii", type=Path)
    parser.add_argument("--half", type=int, choices=[0, 1], help="even or odd templates alone")
    parser.add_argument("--regions", nargs="*", default=[])
    parser.add_argument("--clean", type=Path, nargs="*", default=[])
    parser.add_argument("--misses", action="store_true", help="print what went wrong")
    arguments = parser.parse_args()
    rules = Rules(regions=tuple(arguments.regions))
    texts = read_pii(arguments.pii, arguments.half) if arguments.pii else read_sample()
    measure_findings(texts, rules, is_told=arguments.misses)
    measure_speed("annotated texts", [text.full for text in texts], rules)
    for path in arguments.clean:
        clean = read_clean(path)
        measure_clean(path.name, clean, rules, is_told=arguments.misses)
        measure_speed(path.name, clean, rules)
    if not arguments.clean:
        measure_speed("plain words", [re.sub(r"[\W\d]+", " ", SAMPLE)] * 100, rules)


def read_sample() -> list[Text]:
    """Return the sample's lines with the spans that are marked in them."""
    texts = []
    for line in SAMPLE.splitlines():
        full, spans = "", []
        for number, piece in enumerate(re.split(r"<([A-Z_]+:[^>]*)>", line)):
            kind, _, value = piece.partition(":")
            if number % 2:
                spans.append((kind, len(full), len(full) + len(value)))
            full += value if number % 2 else piece
        texts.append(Text(full, spans))
    return texts


def read_pii(path: Path, half: int | None) -> list[Text]:
    """Read annotated texts; their types get the names that redaction uses."""
    rows: list[dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))
    return [
        Text(
            row["full_text"],
            [
                (
                    TYPES.get(s["entity_type"], s["entity_type"]),
                    s["start_position"],
                    s["end_position"],
                )
                for s in row["spans"]
            ],
        )
        for row in rows
        if half is None or row["template_id"] % 2 == half
    ]


def read_clean(path: Path) -> list[str]:
    """Read the first texts of a file: lines up to their tab, or a CSV file's cells of words."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    if ".csv" in path.name:
        rows = csv.reader(io.StringIO(text))
        return [" ".join(cell for cell in row if " " in cell) for row in rows][: CLEAN_ROWS // 2]
    return [line.partition("\t")[0] for line in text.splitlines()][:CLEAN_ROWS]


def found_in(text: str, rules: Rules) -> tuple[list[tuple[str, int, int]], bool]:
    """Redact, and align the result with the text to learn where each finding was."""
    result = redact(text, rules)
    pieces = PLACEHOLDER.split(str(result.value))
    pattern = "(.+?)".join(re.escape(piece) for piece in pieces[::2])
    match = re.fullmatch(pattern, text, re.DOTALL)
    assert match, (text, result)
    spans = [(kind, *match.span(n)) for n, kind in enumerate(pieces[1::2], start=1)]
    return spans, result.is_sensitive


def measure_findings(texts: list[Text], rules: Rules, *, is_told: bool) -> None:
    """Print a line for each type, and what the groups of phones give."""
    all_, hit, false, sensitive = (Counter[str]() for _ in range(4))
    for text in texts:
        found, is_sensitive = found_in(text.full, rules)
        for kind, start, end in text.spans:
            is_hit = any(k == kind and low <= start and high >= end for k, low, high in found)
            named = [kind]
            if kind == "PHONE" and is_expected(text.full, start, end, rules):
                named.append("PHONE beside a word, international or valid")
            all_.update(named)
            hit.update(named if is_hit else [])
            sensitive[kind] += is_sensitive
            if is_told and not is_hit and kind not in NOT_PROMISED:
                print("  missed", kind, repr(text.full[max(0, start - 30) : end + 15]))
        wrong = [
            (kind, start, end)
            for kind, start, end in found
            if not any(k == kind and low < end and high > start for k, low, high in text.spans)
        ]
        false.update(kind for kind, _, _ in wrong)
        for kind, start, end in wrong if is_told else []:
            print("  false", kind, repr(text.full[max(0, start - 30) : end + 15]))
    for kind in sorted({*all_, *false} - NOT_PROMISED):
        misses = all_[kind] - hit[kind]
        recall = hit[kind] / all_[kind] if all_[kind] else float("nan")
        precision = hit[kind] / max(1, hit[kind] + false[kind])
        print(
            f"{kind:44} n={all_[kind]:4} recall {recall:.3f} misses {misses}"
            f" false {false[kind]} precision {precision:.3f}"
        )
    for kind in sorted(set(all_) & NOT_PROMISED):
        print(f"{kind:44} n={all_[kind]:4} text flagged sensitive {sensitive[kind]}")


def is_expected(text: str, start: int, end: int, rules: Rules) -> bool:
    """Tell by other means than the engine's whether a phone has a word, a prefix or a region."""
    number = text[start:end]
    if number.startswith(("+", "00")):
        return True
    if WORD_BEFORE.search(text[:start]) or WORD_AFTER.match(text[end:]):
        return True
    return any(is_valid(number, region) for region in rules.regions)


def is_valid(number: str, region: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False


def measure_clean(name: str, texts: list[str], rules: Rules, *, is_told: bool) -> None:
    """Print how many harmless texts were changed or flagged."""
    results = [redact(text, rules) for text in texts]
    changed = [text for text, result in zip(texts, results, strict=True) if result.counts]
    flagged = [text for text, result in zip(texts, results, strict=True) if result.is_sensitive]
    print(f"{name}: {len(texts)} texts, {len(changed)} changed, {len(flagged)} flagged")
    for text in [*changed, *flagged] if is_told else []:
        print("  ", redact(text, rules), text)


def measure_speed(name: str, texts: list[str], rules: Rules) -> None:
    """Print MB/s of one text after the other, the best of five, and the share of the floor's."""
    size = sum(len(text.encode()) for text in texts) / 1e6

    def rate(work: Callable[[str], object]) -> float:
        seconds = []
        for _ in range(5):
            started = time.process_time()
            for text in texts:
                work(text)
            seconds.append(time.process_time() - started)
        return size / min(seconds)

    ours, floor = rate(lambda text: redact(text, rules)), rate(FLOOR.search)
    print(
        f"  {name}: {ours:.1f} MB/s, {ours / floor:.3f} of a first look by `re` ({floor:.0f} MB/s)"
    )


if __name__ == "__main__":
    main()
