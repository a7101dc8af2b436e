"""What `audit_dataset` proves of a version, and each thing that it must find."""

import json
import random
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from feedback.duplicates import fold, jaccard
from feedback.models import Example, Image
from privacy import consent
from tests.training.builders import Product, erasing, side_of, texts_of
from training import datasets
from training.audit import LISTED_FINDINGS, Index, audit
from training.curation import content
from training.models import Dataset, Membership, Shard

HELD_OUT = "the soup of the day was warm and lovely"


@pytest.fixture
def version(product):
    product.add((HELD_OUT, "pos"), ("bad tea", "neg"), split="holdout")
    product.add(("my room was cold", "neg"), ("stale bread", "neg"), split="train")
    return product.version()


def plant(version, input_, output="pos"):
    """Put an example on the train side, as only somebody with the database's password can."""
    fields = {"input": input_, "output": output, "input_hash": b"", "split": "train"}
    planted = Example.objects.create(
        task=version.dataset.task, source="import", base_weight=1.0, **fields
    )
    row = content.Content(planted.pk, kind="train", weight=1.0, rejected=None, **fields)
    Membership.objects.create(
        dataset=version.dataset,
        example=planted,
        row_hash=content.hash_of(row, content.Pictures(version.dataset.task, [row])),
        split="train",
        since_version=version.version,
    )
    return planted.pk


def leaks(version):
    """Return what was found about two rows; that the hash is another is certain then."""
    found = [f for f in audit(version).findings if f.holdout_example_id is not None]
    return [(f.kind, f.example_id, f.holdout_example_id, f.similarity) for f in found]


def kinds(version):
    return list(audit(version).found)


def example(text):
    return Example.objects.filter(input=text).earliest("pk").pk


def test_it_works(version):
    report = audit(version)
    assert report.examples == {"holdout": 2, "train": 2}
    assert (report.found, report.findings) == ({}, [])


@pytest.mark.parametrize("purpose", ["train", "eval", "preference", "unpaired"])
def test_versions_as_they_are_built_are_clean(product, purpose):
    alike = [f"the soup of the day was so very good, {n}" for n in range(30)]
    for split in ("train", "holdout"):
        text = next(text for text in alike if side_of(text) == split)
        product.correct(text)
        product.approve(f"{text} soup")
    dataset = Dataset.objects.create(
        project=product.project, task=product.task, name="line", purpose=purpose
    )
    version = product.version(dataset)
    assert version.counts["total"] + sum(version.counts["left_out"].values()) > 0
    assert audit(version).found == {}


PLANTED = {
    "exact": (HELD_OUT, "same_input"),
    "another case": (HELD_OUT.upper(), "same_input"),
    "punctuation": (HELD_OUT + "!", "near_text"),
    "one typo": (HELD_OUT.replace("warm", "wurm"), "near_text"),
}


@pytest.mark.parametrize(("text", "kind"), PLANTED.values(), ids=PLANTED)
def test_a_planted_leak_is_found(version, text, kind):
    pk = plant(version, text)
    ((found, row, other, similarity),) = leaks(version)
    assert (found, row, other) == (kind, pk, example(HELD_OUT))
    assert 0.7 <= similarity <= 1
    assert kinds(version) == [kind, "hash_changed"]


def test_what_only_sounds_alike_is_no_leak(version):
    plant(version, "the soup of my brother was cold and he went home")
    assert leaks(version) == []


def test_the_index_finds_what_comparing_all_finds():
    rng = random.Random(5)
    words = ["the", "soup", "was", "good", "bad", "room", "aaaa", "x", "price"]
    texts = [" ".join(rng.choices(words, k=rng.randint(3, 9))) for _ in range(300)]
    texts += ["a" * 30, "ab" * 20]
    changed = [list(text) for text in texts]
    for letters in changed:
        for _ in range(rng.randint(0, 3)):
            letters[rng.randrange(len(letters))] = rng.choice("abc ")
    asked = [fold("".join(letters)) for letters in changed]
    index = Index(texts)
    long = [text for text in texts if len(text) >= 20]
    for text in asked:
        is_like = len(text) >= 20 and any(jaccard(text, other) >= 0.7 for other in long)
        found = index.find(text)
        assert (found is not None) == is_like
        assert found is None or found[1] == jaccard(text, found[0])


@pytest.mark.parametrize("bits", [2**62 + 5, -(2**62) - 5])
def test_a_picture_of_which_three_bits_differ_is_found(db, bits):
    shop = Product(modality="image", labels=[])
    held_out, copy, other = (
        Image.objects.create(
            project=shop.project,
            is_verified=True,
            sha256="0" * 64,
            media_type="image/png",
            width=1,
            height=1,
            difference_hash=difference_hash,
        )
        for difference_hash in (bits, bits ^ 0b10101, bits ^ (2**8 - 1))
    )
    shop.add(({"prompt": "a cat"}, {"image": str(held_out.uuid)}), split="holdout")
    version = shop.version()
    plant(version, {"prompt": "the sea"}, {"image": str(other.uuid)})
    pk = plant(version, {"prompt": "my dog"}, {"image": str(copy.uuid)})
    ((kind, row, _, similarity),) = leaks(version)
    assert (kind, row, similarity) == ("near_picture", pk, 1 - 3 / 64)


def test_a_layout_that_is_the_same_but_for_rounding_is_found(db):
    def page(name, x):
        boxes = [{"id": name, "label": "panel", "bbox": [x, 20, 300, 400]}]
        return {"page": {"width": 1000, "height": 1000}, "scene": name}, {"boxes": boxes}

    shop = Product(modality="layout", labels=["panel"])
    shop.add(page("s-1", 100), split="holdout")
    version = shop.version()
    plant(version, *page("s-2", 150))
    pk = plant(version, *page("s-3", 101))
    assert [leak[:2] for leak in leaks(version)] == [("near_layout", pk)]


def test_a_changed_example_is_found(version):
    Example.objects.filter(input="stale bread").update(output="pos")
    row, total = audit(version).findings
    assert (row.kind, row.example_id) == ("row_changed", example("stale bread"))
    assert total.kind == "hash_changed"


def test_a_member_that_is_gone_is_found(version):
    with erasing():
        Membership.objects.filter(example=example("stale bread")).delete()
    assert kinds(version) == ["hash_changed"]


def refused_in(product):
    """Build a version with a row of a person who refuses, as no trigger would allow."""
    consent.decide(project=product.project, user_id="ann", purpose="training", is_granted=False)
    version = product.version()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # no trigger fires
        cursor.execute(
            "INSERT INTO training_membership (dataset_id, example_id, row_hash, split,"
            " since_version) SELECT %s, id, 'x', 'train', 1 FROM feedback_example",
            [version.dataset_id],
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
    return version


def test_a_row_of_a_person_who_opted_out_is_found(product):
    feedback = product.correct(next(texts_of("train")))
    version = refused_in(product)
    (finding,) = (f for f in audit(version).findings if f.kind == "consent_refused")
    assert (finding.kind, finding.example_id) == ("consent_refused", feedback.examples.get().pk)


def test_a_row_of_a_person_who_permitted_it_only_later_is_found(product):
    product.correct(next(texts_of("train")))
    version = refused_in(product)
    consent.decide(project=product.project, user_id="ann", purpose="training", is_granted=True)
    assert "consent_refused" in kinds(version)


@pytest.fixture
def shard(version, settings, tmp_path):
    """Return the path of the file of a version's rows."""
    settings.STORAGE_URL = str(tmp_path)
    assert list(datasets.rows(version))
    digest = Shard.objects.get().sha256
    return Path(tmp_path / "shards" / digest[:2] / digest)


def test_a_flipped_byte_in_a_shard_is_found(version, shard):
    data = bytearray(shard.read_bytes())
    data[10] ^= 1
    shard.write_bytes(data)
    (finding,) = audit(version).findings
    assert finding.kind == "shard_damaged"
    assert shard.name in finding.detail


def test_a_shard_that_is_gone_will_be_made_again(version, shard):
    shard.unlink()
    assert kinds(version) == []


# --- the command --------------------------------------------------------------------------------


def run(version, *words):
    call_command("audit_dataset", version.name, str(version.version), *words)


def test_the_command_says_that_a_version_is_clean(version, capsys):
    run(version)
    assert capsys.readouterr().out == "mood-train v1: 2 holdout, 2 train\n"


def test_the_command_names_both_rows_of_a_leak_and_fails(version, capsys):
    pk = plant(version, HELD_OUT)
    with pytest.raises(CommandError, match="mood-train v1 is not clean: 2 found") as refused:
        run(version)
    assert refused.value.returncode == 1
    said = f"same_input: example {pk} and example {example(HELD_OUT)} of the holdout, similarity 1"
    assert said in capsys.readouterr().out


def test_json_says_the_same(version, capsys):
    pk = plant(version, HELD_OUT)
    with pytest.raises(CommandError):
        run(version, "--json")
    document = json.loads(capsys.readouterr().out)
    assert document["found"] == {"same_input": 1, "hash_changed": 1}
    assert document["findings"][0]["example_id"] == pk


def test_many_findings_are_counted_and_the_first_are_listed(product, capsys):
    product.add(*((f"text {n}", "pos") for n in range(30)), split="holdout")
    version = product.version()
    Example.objects.update(output="neg")
    with pytest.raises(CommandError, match="31 found"):
        run(version)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 + LISTED_FINDINGS + 1
    assert printed[-1] == "and 11 more"


def test_a_version_that_is_not_ready_cannot_be_audited(product):
    version = datasets.request_version(product.dataset)
    with pytest.raises(CommandError, match="mood-train v1 is building"):
        run(version)


def test_who_opts_out_later_is_no_fault_of_a_version(product):
    product.correct(next(texts_of("train")))
    version = product.version()
    consent.decide(project=product.project, user_id="ann", purpose="training", is_granted=False)
    assert kinds(version) == []


def test_who_had_to_opt_in_later_is_no_fault_of_a_version(product):
    product.correct(next(texts_of("train")))
    version = product.version()
    product.project.consent_default = "withheld"
    product.project.save()
    assert kinds(version) == []
