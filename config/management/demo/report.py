"""The demo's last screen: what was done, what was measured, which pages to open."""

from pathlib import Path
from typing import Any

BAR_CHARACTERS = 36
PROOF = {
    True: "where all agree, the very weights of a twin that never had the person",
    False: "where all agree, OTHER weights than a twin's that never had the person",
}
TEXT = """
  Accuracy on {holdout} reviews that no user saw
    first model        {before}
    corrections alone  {naive}  {naive_fate}
    with feedback      {after}  {fate}
    ceiling            {ceiling}  all labels true

  Gap closed    {gap_closed_ratio:.0%}
  Change        {change:+.1f} points (95% interval {low:+.1f} to {high:+.1f}, p = {p_value:.2g})
  Feedback      {created} stored, {flagged} flagged, {rejected} rejected, {processed} processed
  To processed  {p50} s median, {p99} s p99
  Dataset       {dataset_name} v{dataset_version}, content {content_hash:.12}
  Model         weights {weights_hash:.12}, {passed} of {gate_count} gates passed
{gates}

  A further round, 40% of its users vandals, no moderator
    trust off          {trust_off}  {trust_off_fate}
    trust on           {trust_on}  {trust_on_fate}
    oracle             {oracle}  vandals known
    {caught_ratio:.0%} of the vandals in quarantine, {honest_lost_ratio:.0%} of the honest

  Then who had taught most of all is erased
    training data      {rows} rows fewer, {erasure_seconds} s from the request to the receipt
    served now         {proof}
    receipt            signature verified, nothing of the person is left

  Simulated: the users (two vandals at first, one in ten careless) and the moderator, who
  knows the true labels. Real: everything else, from HTTP to the promoted model.

  Took {seconds} s. Now run `make up` and open, for the project {project}:
    http://127.0.0.1:8000/admin/                          the review queue
    http://127.0.0.1:8000/admin/training/run/             runs and their gates
    http://127.0.0.1:8000/admin/training/datasetversion/  what the models learned from
    http://127.0.0.1:8000/api/docs/                       the API
  Sign in as admin; the password is in {password_path}
"""


def report(result: dict[str, Any], project: str, password_path: Path) -> str:
    """Return the screen for the object of `demo --json`."""
    naive, run, dataset = result["corrections_only"], result["run"], result["dataset"]
    poisoned = result["poisoned"]
    difference = {key: 100 * value for key, value in result["difference"].items()}
    return TEXT.format(
        **result["feedback"],
        **result["processing_seconds"],
        **{key: result[key] for key in ("holdout", "gap_closed_ratio", "p_value", "seconds")},
        before=_bar(result["accuracy_before"]),
        naive=_bar(naive["accuracy"]),
        naive_fate=_fate([gate["name"] for gate in naive["gates"]], naive["status"]),
        after=_bar(result["accuracy_after"]),
        fate="promoted" if result["promoted"] else "not promoted",
        ceiling=_bar(result["ceiling"]),
        **{name: _bar(poisoned[name]) for name in ("trust_off", "trust_on", "oracle")},
        **{name: poisoned[name] for name in ("caught_ratio", "honest_lost_ratio")},
        trust_off_fate=_fate(poisoned["refused_by"], "not refused"),
        trust_on_fate="promoted" if poisoned["promoted"] else "not promoted",
        rows=result["erasure"]["rows"],
        erasure_seconds=result["erasure"]["seconds"],
        proof=PROOF[result["erasure"]["hash_equal"]],
        change=difference["estimate"],
        low=difference["low"],
        high=difference["high"],
        dataset_name=dataset["name"],
        dataset_version=dataset["version"],
        content_hash=dataset["content_hash"],
        weights_hash=run["weights_hash"],
        passed=sum(gate["passed"] for gate in run["gates"]),
        gate_count=len(run["gates"]),
        gates="\n".join(map(_gate, run["gates"])),
        project=project,
        password_path=password_path,
    )


def _bar(ratio: float) -> str:
    return f"{'#' * round(ratio * BAR_CHARACTERS):<{BAR_CHARACTERS}} {ratio:6.1%}"


def _fate(refusing: list[str], otherwise: str) -> str:
    return f"refused by: {', '.join(refusing)}" if refusing else otherwise


def _gate(gate: dict[str, Any]) -> str:
    mark = "passed " if gate["passed"] else "REFUSED"
    return f"    {mark} {gate['name']:<13} {gate['reason']}"
