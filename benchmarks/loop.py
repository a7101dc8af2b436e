"""The demo over several seeds: accuracy before and after, the ceiling, vandals, an erasure.

python -m benchmarks.loop [--reviews FILE.tsv] [--seeds 5]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from scipy.stats import t

HOUSE = Path(__file__).parent.parent
RATIOS = ["accuracy_before", "accuracy_after", "ceiling", "gap_closed_ratio", "relative_gain"]
RATIOS += ["trust_off", "trust_on", "oracle", "caught_ratio", "honest_lost_ratio"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reviews", type=Path, help="default: the sample that Emend ships")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = [run(seed, arguments.reviews, folder) for seed in range(1, arguments.seeds + 1)]
    for name in RATIOS:
        print(f"{name:18} {said([result[name] for result in results])}")
    slowest = max(result["processing_seconds"]["p99"] for result in results)
    print(f"processing p99     at most {slowest} s")
    print(f"promoted           {sum(result['promoted'] for result in results)} of {len(results)}")
    refused = sum(result["corrections_only"]["status"] == "refused" for result in results)
    print(f"corrections alone  refused {refused} of {len(results)}")
    caught = sum(bool(result["refused_by"]) for result in results)
    resisted = sum(result["is_resisted"] for result in results)
    print(
        f"with 40% vandals   trust off refused {caught}, on promoted {resisted} of {len(results)}"
    )
    equal = sum(result["erasure"]["hash_equal"] for result in results)
    longest = max(result["erasure"]["seconds"] for result in results)
    print(f"one person erased  equal weights {equal} of {len(results)}, at most {longest} s")


def run(seed: int, reviews: Path | None, folder: str) -> dict[str, Any]:
    """Run the demo with that seed; return its object and the relative gain."""
    command = [sys.executable, "manage.py", "demo", "--json", "--seed", str(seed)]
    if reviews is not None:
        command += ["--reviews", str(reviews.absolute())]
    command = ["env", f"EMEND_DATA_DIR={folder}", *command]
    ended = subprocess.run(command, cwd=HOUSE, check=True, capture_output=True)
    result: dict[str, Any] = json.loads(ended.stdout)
    poisoned = result.pop("poisoned")
    result |= poisoned | {"promoted": result["promoted"], "is_resisted": poisoned["promoted"]}
    result["relative_gain"] = result["accuracy_after"] / result["accuracy_before"] - 1
    print(f"seed {seed}: " + ", ".join(f"{name} {result[name]:.3f}" for name in RATIOS), flush=True)
    return result


def said(values: list[float]) -> str:
    """Return the mean with its 95% interval (Student's t over the seeds)."""
    half = t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return f"{mean(values):.3f} ± {half:.3f}"


if __name__ == "__main__":
    main()
