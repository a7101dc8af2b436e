"""Lineage as PROV-JSON, held to the schema of the W3C member submission.

prov-json.schema.json is that schema unchanged (https://www.w3.org/submissions/prov-json/schema,
copyright W3C, https://www.w3.org/copyright/software-license-2023/).
"""

import json
from datetime import datetime
from pathlib import Path

import jsonschema
import pytest

from feedback import review
from tests.commands import refused, succeed
from tests.training.builders import built, processed, texts_of
from tests.training.test_training_api import Caller
from training import datasets, lineage, provenance, rollouts
from training.models import Run

SCHEMA = json.loads((Path(__file__).parent / "prov-json.schema.json").read_text())
TEXT = next(texts_of("train"))
RELATIONS = {"used", "wasGeneratedBy", "wasDerivedFrom", "wasAssociatedWith", "wasInformedBy"}
RELATIONS |= {"wasAttributedTo", "actedOnBehalfOf", "hadMember"}
TIMES = {"prov:time", "prov:startTime", "prov:endTime"}


@pytest.fixture
def feedback(product):
    """Let a moderator's decision become an example, a version, a model and its promotion."""
    feedback = product.react(product.show(TEXT), "down")
    review.accept(feedback, by="mia@shop", reason="right", corrected="pos")
    processed(feedback)
    product.version()
    model = product.register()
    built(model.run.dataset_version)
    rollouts.promote(model)
    return feedback


@pytest.fixture
def model(product, feedback):
    return product.task.model_versions.get()


@pytest.fixture
def documents(feedback, model):
    version = lineage.of_version(model.run.dataset_version)
    return [
        provenance.of_feedback(lineage.of_feedback(feedback), lineage.pseudonym_of("shop")),
        provenance.of_version(version),
        provenance.of_model(lineage.of_model(model)),
    ]


def related(document, relation):
    """Return the ends of a relation's rows, each as a set."""
    return [set(row.values()) for row in document[relation].values()]


def test_it_works(documents):
    """It holds to the schema, and the whole way is there."""
    for document in documents:
        jsonschema.validate(document, SCHEMA)
    found = {relation for document in documents for relation in document}
    assert found - {"prefix", "entity", "activity", "agent"} == RELATIONS


def test_what_the_schema_forbids_is_found(documents):
    documents[0]["wasEndedBy"] = {}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(documents[0], SCHEMA)


def test_whatever_is_related_is_described(documents):
    for document in documents:
        known = {name for kind in ("entity", "activity", "agent") for name in document[kind]}
        ends = {
            end
            for relation in RELATIONS & set(document)
            for row in document[relation].values()
            for key, end in row.items()
            if key not in TIMES
        }
        assert ends <= known


def test_all_prefixes_are_declared(documents):
    for document in documents:
        declared = set(document["prefix"])
        names = [name for kind in ("entity", "activity", "agent") for name in document[kind]]
        names += [
            key for kind in ("entity", "activity") for row in document[kind].values() for key in row
        ]
        assert {name.split(":")[0] for name in names} <= declared


def test_times_are_moments_with_a_zone(documents):
    for document in documents:
        rows = [row for kind in document if kind != "prefix" for row in document[kind].values()]
        times = [row[key] for row in rows for key in TIMES & set(row)]
        times += [v["$"] for row in rows for v in row.values() if "xsd:dateTime" in str(v)]
        assert times
        assert all(datetime.fromisoformat(time).tzinfo for time in times)


def test_a_dataset_version_is_one_collection_with_its_hash(documents, model):
    for document in documents:
        version = document["entity"]["of:dataset.mood-train.2"]
        assert version["prov:type"]["$"] == "prov:Collection"
        assert version["emend:contentHash"] == model.run.dataset_version.content_hash
    (example,) = [name for name in documents[0]["entity"] if name.startswith("of:example")]
    members = related(documents[0], "hadMember")
    assert members == [{f"of:dataset.mood-train.{n}", example} for n in (1, 2)]


def test_a_model_is_derived_from_its_version_by_its_run(documents, model):
    for document in documents:
        (derived,) = [
            row
            for row in document["wasDerivedFrom"].values()
            if row["prov:generatedEntity"] == "of:model.mood.1"
        ]
        assert derived["prov:usedEntity"] == "of:dataset.mood-train.2"
        assert derived["prov:activity"] == f"of:run.{model.run.uuid}"


def test_a_version_is_derived_from_the_one_before_it(documents):
    for document in documents:
        pairs = related(document, "wasDerivedFrom")
        assert {"of:dataset.mood-train.2", "of:dataset.mood-train.1"} in pairs


def test_people_are_named_by_pseudonym_alone(documents):
    text = json.dumps(documents[0])
    assert "mia" not in text
    assert '"of:person.ann"' not in text
    agents = documents[0]["agent"]
    assert sum(agent["prov:type"]["$"] == "prov:Person" for agent in agents.values()) == 2


def test_the_moderator_answers_for_what_was_admitted(documents):
    ((delegation),) = documents[0]["actedOnBehalfOf"].values()
    assert delegation["prov:delegate"] == provenance.EMEND
    assert delegation["prov:responsible"].startswith("of:moderator.")


def test_feedback_of_nobody_is_attributed_to_nobody(product):
    feedback = product.correct(TEXT, user=None)
    document = provenance.of_feedback(lineage.of_feedback(feedback), str)
    assert "wasAttributedTo" not in document


def test_a_version_that_is_being_built_has_a_provenance_already(product):
    version = datasets.request_version(product.dataset)
    document = provenance.of_version(lineage.of_version(version))
    jsonschema.validate(document, SCHEMA)
    assert "of:dataset.mood-train.1" in document["entity"]


def test_a_model_without_a_dataset_version_has_a_provenance(product):
    model = product.register()
    Run.objects.update(dataset_version=None)
    document = provenance.of_model(lineage.of_model(model))
    jsonschema.validate(document, SCHEMA)
    assert "wasDerivedFrom" not in document


# --- At the endpoints and the command -----------------------------------------------------------


@pytest.fixture
def addresses(feedback):
    return [
        f"feedback/{feedback.uuid}/lineage/",
        "datasets/mood-train/versions/2/lineage/",
        "models/mood/1/lineage/",
    ]


def test_each_lineage_is_answered_in_both_forms(product, addresses, documents):
    api = Caller(product)
    for address, document in zip(addresses, documents, strict=True):
        assert api.get(f"{address}?format=prov") == document
        assert api.get(f"{address}?format=json") == api.get(address)
        assert api.get(f"{address}?format=xml", 400)["code"] == "api.malformed"


def test_trace_prints_each_form(feedback, documents):
    named = [("feedback", feedback.uuid), ("dataset", "mood-train", 2), ("model", "mood", 1)]
    for words, document in zip(named, documents, strict=True):
        assert json.loads(succeed("trace", *words, "--prov")) == document
        assert json.loads(succeed("trace", *words, "--json"))["task"] == "mood"
        assert "mood-train" in succeed("trace", *words)


@pytest.mark.django_db
def test_trace_names_what_is_not_there(product):
    assert refused("trace", "dataset", "soup", 1) == "There is no dataset soup."
    assert refused("trace", "dataset", product.dataset, 7).endswith("has no version 7.")
