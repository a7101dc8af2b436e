"""Lineage as W3C PROV-JSON (member submission of 24 April 2013); pure: document in, document out.

Entities are feedback, examples, dataset versions (each one collection, with its hash) and models;
activities are reviews, processing, builds, runs, rollouts and promotions; people are agents, by
pseudonym. What gates said is in the lineage alone.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

Document: TypeAlias = dict[str, Any]
NAMESPACES = {
    "emend": "urn:emend:terms:",
    "prov": "http://www.w3.org/ns/prov#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
EMEND = "emend:emend"  # the software, which does what no person decides


class _Graph:
    """A PROV-JSON document in the making; `of` is the namespace of the project."""

    def __init__(self, project: str) -> None:
        prefix = NAMESPACES | {"of": f"urn:emend:project:{project}:"}
        self.document: Document = {"prefix": prefix}
        self.add("agent", EMEND, _typed("prov:SoftwareAgent"))

    def add(self, kind: str, name: str, facts: Document) -> str:
        """Add an entity, activity or agent with what is known of it; return its name."""
        known = {key: value for key, value in facts.items() if value is not None}
        self.document.setdefault(kind, {})[name] = known
        return name

    def relate(self, relation: str, **ends: str | None) -> None:
        """Add a relation between things by name, or with a time; None is left out."""
        found = {f"prov:{end}": name for end, name in ends.items() if name is not None}
        rows = self.document.setdefault(relation, {})
        rows[f"_:{relation}{len(rows) + 1}"] = found

    def done(self, activity: str, *, by: str = EMEND) -> None:
        """Say who did it."""
        self.relate("wasAssociatedWith", activity=activity, agent=by)


def of_feedback(lineage: Document, pseudonym: Callable[[str], str]) -> Document:
    """Return the provenance of what a feedback became; `pseudonym` hides a moderator's name."""
    graph = _Graph(lineage["project"])
    feedback = _feedback(graph, lineage["feedback"], lineage)
    if lineage["contributor"] is not None:
        who = graph.add("agent", f"of:person.{lineage['contributor']}", _typed("prov:Person"))
        graph.relate("wasAttributedTo", entity=feedback, agent=who)
    for row in lineage["dataset_versions"]:
        _version(graph, row)
    for row in lineage["examples"]:
        _example(graph, row, feedback, pseudonym)
    for row in lineage["dataset_versions"]:
        for example in lineage["examples"]:
            if any(_is_within(stay, row) for stay in example["versions"]):
                _member(graph, row, example["id"])
    _went(graph, lineage)
    return graph.document


def of_version(lineage: Document) -> Document:
    """Return the provenance of a dataset version: what it was built on, and where it went."""
    graph = _Graph(lineage["project"])
    _version(graph, lineage)
    _learnt_from(graph, lineage, lineage["feedback_source"].get("added", []))
    _went(graph, lineage)
    return graph.document


def of_model(lineage: Document) -> Document:
    """Return the provenance of a model version: its run, data, rollouts and promotions."""
    graph = _Graph(lineage["project"])
    version = lineage["dataset_version"]
    if version is not None:
        _version(graph, version)
        _learnt_from(graph, version, lineage["feedback"]["ids"])
    _went(graph, lineage | {"models": [lineage]})
    for number, promotion in enumerate(lineage["promotions"], start=1):
        name = f"of:promotion.{lineage['task']}.{lineage['version']}.{number}"
        facts = {"prov:startTime": promotion["at"], "emend:why": promotion["why"]}
        graph.done(graph.add("activity", name, facts))
        graph.relate("used", activity=name, entity=_model_name(lineage), time=promotion["at"])
    return graph.document


def _typed(name: str) -> Document:
    return {"prov:type": {"$": name, "type": "prov:QUALIFIED_NAME"}}


def _feedback(graph: _Graph, feedback_id: str, facts: Document) -> str:
    told = {
        **_typed("emend:Feedback"),
        "emend:signal": facts.get("signal"),
        "emend:status": facts.get("status"),
        "emend:createdAt": _moment(facts.get("created_at")),
    }
    return graph.add("entity", f"of:feedback.{feedback_id}", told)


def _moment(at: str | None) -> Document | None:
    return None if at is None else {"$": at, "type": "xsd:dateTime"}


def _example(graph: _Graph, row: Document, feedback: str, pseudonym: Callable[[str], str]) -> None:
    """Add an example, the processing that made it, and the decision that admitted it."""
    facts = {"emend:case": row["case"], "emend:split": row["split"]}
    name = graph.add("entity", f"of:example.{row['id']}", _typed("emend:Example") | facts)
    made = graph.add("activity", f"of:processing.{row['id']}", {"prov:endTime": row["created_at"]})
    graph.done(made)
    graph.relate("used", activity=made, entity=feedback)
    graph.relate("wasGeneratedBy", entity=name, activity=made, time=row["created_at"])
    graph.relate("wasDerivedFrom", generatedEntity=name, usedEntity=feedback, activity=made)
    decision = row["decision"]
    if decision is None:
        return
    person = f"of:moderator.{pseudonym(decision['moderator'])}"
    graph.add("agent", person, _typed("prov:Person"))
    facts = {"prov:endTime": decision["at"], "emend:decision": decision["decision"]}
    review = graph.add("activity", f"of:review.{decision['record']}", facts)
    graph.done(review, by=person)
    graph.relate("used", activity=review, entity=feedback)
    graph.relate("wasInformedBy", informed=made, informant=review)
    graph.relate("actedOnBehalfOf", delegate=EMEND, responsible=person, activity=made)


def _version_name(dataset: str, number: int) -> str:
    return f"of:dataset.{dataset}.{number}"


def _version(graph: _Graph, row: Document) -> None:
    """Add a dataset version as one collection, its build, and the version it was built on."""
    name = _version_name(row["dataset"], row["version"])
    facts = {
        **_typed("prov:Collection"),
        "emend:contentHash": row["content_hash"],
        "emend:currentHash": row.get("current_hash"),
        "emend:rows": row.get("counts", {}).get("total"),
    }
    graph.add("entity", name, facts)
    build = f"of:build.{row['dataset']}.{row['version']}"
    graph.done(graph.add("activity", build, {"prov:startTime": row["as_of"]}))
    graph.relate("wasGeneratedBy", entity=name, activity=build)
    if row["parent"] is not None:
        parents = row.get("parents") or [{"version": row["parent"]}]
        _derive(graph, row["dataset"], [row, *parents])
        parent = _version_name(row["dataset"], row["parent"])
        graph.relate("used", activity=build, entity=parent)


def _derive(graph: _Graph, dataset: str, line: list[Document]) -> None:
    """Add the versions that each came from the next one."""
    for child, parent in pairwise(line):
        used = _version_name(dataset, parent["version"])
        if used not in graph.document["entity"]:
            facts = {"emend:contentHash": parent.get("content_hash")}
            graph.add("entity", used, _typed("prov:Collection") | facts)
        made = _version_name(dataset, child["version"])
        graph.relate("wasDerivedFrom", generatedEntity=made, usedEntity=used)


def _member(graph: _Graph, version: Document, example_id: int) -> None:
    collection = _version_name(version["dataset"], version["version"])
    graph.relate("hadMember", collection=collection, entity=f"of:example.{example_id}")


def _is_within(stay: Document, version: Document) -> bool:
    number = version["version"]
    return (
        stay["dataset"] == version["dataset"]
        and stay["since"] <= number
        and (stay["until"] is None or number < stay["until"])
    )


def _learnt_from(graph: _Graph, version: Document, feedback_ids: list[str]) -> None:
    """Derive a version from the feedback that its lineage lists."""
    name = _version_name(version["dataset"], version["version"])
    for feedback_id in feedback_ids:
        feedback = _feedback(graph, feedback_id, {})
        graph.relate("wasDerivedFrom", generatedEntity=name, usedEntity=feedback)


def _model_name(row: Document) -> str:
    return f"of:model.{row['task']}.{row['version']}"


def _went(graph: _Graph, lineage: Document) -> None:
    """Add the runs, the models that they made, and the rollouts of these."""
    data = {row["id"]: _run(graph, row) for row in lineage["runs"]}
    for row in lineage["models"]:
        facts = {"emend:weightsHash": row["weights_hash"], "emend:serves": row["aliases"] or None}
        model = graph.add("entity", _model_name(row), _typed("emend:Model") | facts)
        run, used = f"of:run.{row['run']}", data[row["run"]]
        graph.relate("wasGeneratedBy", entity=model, activity=run, time=row["created_at"])
        if used is not None:
            graph.relate("wasDerivedFrom", generatedEntity=model, usedEntity=used, activity=run)
    for row in lineage["rollouts"]:
        facts = {"prov:startTime": row["created_at"], "emend:status": row["status"]}
        rollout = graph.add("activity", f"of:rollout.{row['id']}", facts)
        graph.done(rollout)
        model = _model_name({"task": lineage["task"], "version": row["challenger"]})
        graph.relate("used", activity=rollout, entity=model, time=row["created_at"])


def _run(graph: _Graph, row: Document) -> str | None:
    """Add a run; return the name of the dataset version that it used."""
    facts = {
        "prov:startTime": row["created_at"],
        "prov:endTime": row["ended_at"],
        "emend:status": row["status"],
        "emend:seed": row["seed"],
    }
    run = graph.add("activity", f"of:run.{row['id']}", facts)
    graph.done(run)
    if row["dataset"] is None:
        return None
    used = _version_name(row["dataset"], row["version"])
    graph.relate("used", activity=run, entity=used)
    return used
