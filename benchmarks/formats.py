"""Export formats: rows a second of CPU time, as a ratio to msgspec's encode_lines, and memory.

python -m benchmarks.formats [--rows 100000] [--memory NAME]
"""

import argparse
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from training.formats import COLUMNS, FORMATS, About, Row

ROUNDS = 3
CHUNK_ROWS = 200


def make_rows(number: int, modality: str, purpose: str) -> Iterator[Row]:
    """Yield rows of about 100 bytes of content, one at a time as an export reads them."""
    for n in range(number):
        text = f"Row {n} says that the film was rather long, but well worth the price of a ticket."
        value, good, bad = {
            "text": (text, f"pos {n}", "neg"),
            "layout": (
                {"page": {"width": 1000, "height": 1500}, "scene": text},
                *(
                    {"boxes": [{"id": n, "label": name, "bbox": [n % 7, 2, 30, 40]}]}
                    for name in "ab"
                ),
            ),
            "image": ({"prompt": text}, *({"image": f"{name} {n % 100}"} for name in "ab")),
        }[modality]
        cells = {
            "input": value,
            "output": good,
            "original": bad,
            "chosen": good,
            "rejected": bad,
            "label": True,
            "weight": 0.5,
            "case": "",
            "is_seen": True,
            "is_pinned": False,
            "split": "holdout" if n % 5 == 0 else "train",
            "source": "feedback",
            "signal": "up",
        }
        yield {name: cells[name] for name in COLUMNS[purpose]}


def about(modality: str, purpose: str) -> About:
    return About(
        name="made-up",
        version=1,
        content_hash="0" * 64,
        created_at=datetime.now(UTC),
        modality=modality,
        purpose=purpose,
        labels=[],
        counts={},
        picture=lambda image: (image.encode() * 1_000, "image/png"),
    )


def seconds_of(name: str | None, rows: list[Row], told: About) -> float:
    """Return the best of a few rounds of writing rows that are in memory; None is the floor."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        if name is None:
            encoder = msgspec.json.Encoder()
            for start in range(0, len(rows), CHUNK_ROWS):
                encoder.encode_lines(rows[start : start + CHUNK_ROWS])
        else:
            for _piece in FORMATS[name].write(iter(rows), told):
                pass
        best = min(best, time.process_time() - started)
    return best


def kind_of(name: str) -> tuple[str, str]:
    """Return a modality and a purpose that the format suits."""
    format_ = FORMATS[name]
    modality = next(kind for kind in ("text", "layout", "image") if kind in format_.modalities)
    return modality, next(purpose for purpose in COLUMNS if purpose in format_.purposes)


def measure_speed(name: str, number: int) -> None:
    modality, purpose = kind_of(name)
    told = about(modality, purpose)
    rows = list(make_rows(number, modality, purpose))
    floor, taken = seconds_of(None, rows, told), seconds_of(name, rows, told)
    rate = f"{number / taken:11,.0f} rows/s  {floor / taken:6.3f} of encode_lines"
    print(f"{name:18} {modality:8} {rate}", flush=True)


def measure_memory(name: str, number: int) -> None:
    """Print the most that this process ever held; for one format, as it never falls."""
    modality, purpose = kind_of(name)
    rows = make_rows(number, modality, purpose)
    size = sum(map(len, FORMATS[name].write(rows, about(modality, purpose))))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:18} {number:,} rows  {size / 2**20:,.0f} MiB written  peak {peak:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--memory", choices=FORMATS, help="what this one takes")
    arguments = parser.parse_args()
    if arguments.memory:
        measure_memory(arguments.memory, arguments.rows)
        return
    for name in FORMATS:
        measure_speed(name, arguments.rows)


if __name__ == "__main__":
    main()
