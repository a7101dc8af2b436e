"""Measure validation: its speed beside one look of `re` at the same text, and what it finds.

python -m benchmarks.validation --xss FILE --injections FILE --naughty FILE --harmless FILE ...

Files hold a text a line, a JSON list, or a JSON object of lists by kind; they may be gzipped.
"""

import argparse
import gzip
import json
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from feedback.modalities import MODALITIES
from feedback.validation import Act, judge

ACTS = 1_000
ROUNDS = 5
FEW = 15
WORD = re.compile(r"\w+")
SAMPLE = """the waiter forgot our order twice and nobody came to say sorry although we asked for it
three times but the soup was hot, the bread fresh and I would recommend this place to friends who
like a quiet evening; prices are fair (about 12 each) and the strengths outweigh what went wrong"""


def make_acts(generator: random.Random) -> list[Act]:
    """Make acts of typical size: input and correction of 300 characters, comment of 60."""
    words = SAMPLE.split()

    def say(size: int) -> str:
        return " ".join(generator.choices(words, k=size))[:size]

    acts = []
    for _ in range(ACTS):
        output = say(300)
        corrected = output.replace(" the ", " a ", 3) + " today"
        acts.append(text_act(corrected, input_=say(300), output=output, comment=say(60)))
    return acts


def text_act(corrected: str | None, *, input_: str = "?", output: str = "!", comment: str) -> Act:
    return Act(
        signal="down" if corrected is None else "correction",
        input=input_,
        output=output,
        corrected=corrected,
        comment=comment,
        modality=MODALITIES["text"],
        max_characters=65_536,
    )


def seconds(work: Callable[[Act], object], acts: list[Act]) -> float:
    """Return the processor's time for all acts, the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for act in acts:
            work(act)
        best = min(best, time.process_time() - start)
    return best


def print_speed() -> None:
    acts = make_acts(random.Random(0))
    floor = seconds(lambda act: WORD.findall(f"{act.input}{act.corrected}{act.comment}"), acts)
    product = seconds(judge, acts)
    print(f"floor    {ACTS / floor:>9,.0f} acts/s  (one look of re for the words)")
    print(f"validate {ACTS / product:>9,.0f} acts/s  {product / ACTS * 1e6:.0f} us each")
    print(f"ratio    {floor / product:>9.2f}")


def read(path: Path) -> dict[str, list[str]]:
    """Read texts by kind."""
    data = path.read_bytes()
    content = (gzip.decompress(data) if path.suffix == ".gz" else data).decode(errors="replace")
    name = path.name.split(".")[0]
    if content.lstrip()[:1] in ("[", "{") and ".json" in path.name:
        found = json.loads(content)
        kinds: dict[str, list[str]] = found if isinstance(found, dict) else {name: found}
    else:
        kinds = {name: content.split("\n")}
    return {kind: [text for text in texts if text.strip()] for kind, texts in kinds.items()}


def print_found(kind: str, texts: list[str], *, is_hostile: bool) -> None:
    """Print how many texts are rejected or flagged, and by what, as comment and as correction."""
    for place in ("comment", "corrected"):
        met: defaultdict[str, list[str]] = defaultdict(list)
        unmet = []
        for text in texts:
            is_comment = place == "comment"
            act = text_act(None if is_comment else text, comment=text if is_comment else "")
            verdict = judge(act)
            codes = {*verdict.flags, *(p.code for p in verdict.rejections)} - {"feedback.no_fix"}
            for code in codes:
                met[code].append(text)
            if not codes:
                unmet.append(text)
        counts = {code: len(found) for code, found in sorted(met.items())}
        print(f"{kind} ({place}): {len(texts) - len(unmet)} of {len(texts)} {counts}")
    odd = {"missed": unmet} if is_hostile and met else met
    for code, found in odd.items():
        for text in found[:FEW]:
            print(f"    {code}: {text[:110]!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--xss", "--injections", "--naughty"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--harmless", type=Path, nargs="*", default=[])
    given = parser.parse_args()
    print_speed()
    for path in (given.xss, given.injections, given.naughty):
        for kind, texts in (read(path) if path else {}).items():
            print_found(kind, texts, is_hostile=path != given.naughty)
    for path in given.harmless:
        for kind, texts in read(path).items():
            print_found(kind, texts, is_hostile=False)


if __name__ == "__main__":
    main()
