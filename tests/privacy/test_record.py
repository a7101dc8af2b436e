"""The record of processing says what the code declares, and what it cannot know."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from privacy import holders, record
from privacy.models import DAYS_KEPT, Kept, Project, RetentionRule

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return Project.objects.create(slug="shop", name="The | shop")


def printed(*arguments):
    out = StringIO()
    call_command("processing_record", *arguments, stdout=out)
    return out.getvalue()


def test_it_works(project):
    page = printed("--project", "shop")
    assert page.startswith("# Record of processing activities: The \\| shop (shop)\n")
    for title in ("To be filled in", "Purposes", "Recipients", "Retention", "measures"):
        assert title in page


def test_every_holder_that_holds_something_is_named(project):
    page = printed()
    told = {row["holder"]: row for row in record.document(project)["data"]}
    assert told
    for holder in holders.holders():
        assert (holder.label in told) == bool(holder.holds)
        assert holder.label in page
        assert holder.holds.replace("|", "\\|") in page
        assert holder.on_erasure.replace("|", "\\|") in page


def test_every_kind_says_its_days(project):
    RetentionRule.objects.create(project=project, kind=Kept.CONTENT, days=17)
    told = {row["kind"]: row["days"] for row in record.document(project)["retention"]}
    assert told == {**DAYS_KEPT, Kept.CONTENT: 17}


def test_what_no_program_knows_is_to_be_filled_in(project):
    page = printed()
    for name in ("Controller", "Processors", "Transfers", "Legal basis"):
        assert f"- **{name}**" in page


def test_it_says_what_counts_in_this_project(project):
    project.identity_mode, project.consent_default = "enforce", "withheld"
    project.save()
    told = record.document(project)
    assert {row.get("consent") for row in told["purposes"]} == {"withheld unless granted", None}
    assert any("token" in line and "must" in line for line in told["security"])


def test_services_are_named_without_what_opens_them(project, settings):
    settings.DATABASE_URL = "postgres://emend:secret@db.example/emend"
    settings.STORAGE_URL = "s3://key:secret@bucket/path"
    page = printed()
    assert "at db.example" in page
    assert "at bucket" in page
    assert "secret@" not in page


def test_the_documents_are_printed_as_json(project):
    Project.objects.create(slug="other", name="Other")
    told = json.loads(printed("--json"))
    assert [one["project"] for one in told] == ["other", "shop"]


def test_the_command_knows_its_projects(project):
    with pytest.raises(CommandError, match="no project nix"):
        printed("--project", "nix")
