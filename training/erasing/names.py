"""Names of slices are values of people's metadata: gates and runs go on with numbers instead."""

from collections.abc import Iterable

from training.models import GateResult, Run

# Of these Emend made the names itself.
OWN = {"topic", "label", "month"}


def forget_slices(tasks: Iterable[int]) -> None:
    """Put numbers in the place of what metadata said, in all that gates and runs of tasks keep."""
    for gate in GateResult.objects.filter(run__task__in=tasks, details__has_key="slices"):
        for number, listed in enumerate(gate.details["slices"], 1):
            if listed["by"] not in OWN:
                said, instead = f"{listed['by']} {listed['value']}", f"{listed['by']} no. {number}"
                gate.reason = gate.reason.replace(said, instead)
                listed["value"] = f"no. {number}"
        gate.save(update_fields=["details", "reason"])
    for run in Run.objects.filter(task__in=tasks, weighing__has_key="strata"):
        factors = run.weighing["strata"].values()
        run.weighing["strata"] = {f"stratum {n}": factor for n, factor in enumerate(factors, 1)}
        run.save(update_fields=["weighing"])
