"""The command that makes what signs user tokens."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from privacy.identity import user_in
from privacy.models import IdentitySecret, Project
from tests.privacy.tokens import Signer
from tests.product import Product, stored_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop():
    return Product("shop")


def create(*words, project="shop"):
    printed = StringIO()
    call_command("create_identity_secret", "--project", project, *words, stdout=printed)
    return printed.getvalue()


def ends():
    return [secret.expires_at for secret in IdentitySecret.objects.order_by("pk")]


def test_it_works(shop):
    token = Signer(shop.project, secret=create().strip()).token("ann")
    nonces = IdentitySecret.objects.values_list("nonce", flat=True)
    assert user_in(token, audience="shop", nonces=nonces) == "ann"


def test_the_secret_stands_alone_on_standard_output_and_is_not_kept(shop):
    printed = create()
    assert printed == printed.split()[0] + "\n"
    assert len(printed.strip()) == 43
    assert printed.strip() not in stored_text()


def test_the_newest_has_no_end_and_the_one_before_a_day(shop):
    assert create() != create()
    first, second = ends()
    assert second is None
    assert abs(first - timezone.now() - timedelta(hours=24)) < timedelta(minutes=1)


def test_the_overlap_is_in_hours(shop):
    create()
    create("--overlap", "2")
    assert abs(ends()[0] - timezone.now() - timedelta(hours=2)) < timedelta(minutes=1)


def test_no_overlap_ends_the_earlier_ones_now(shop):
    create()
    create("--overlap", "0")
    assert IdentitySecret.objects.live().count() == 1


def test_another_projects_secrets_stay(shop):
    Product("other")
    create(project="other")
    create("--overlap", "0")
    assert ends() == [None, None]


@pytest.mark.parametrize("hours", ["-1", "1.5", "x", "8761", "²"])
def test_an_odd_overlap_is_refused(shop, hours):
    with pytest.raises(CommandError, match="whole hours"):
        create(f"--overlap={hours}")
    assert not IdentitySecret.objects.exists()


def test_a_project_is_not_made_on_the_way():
    with pytest.raises(CommandError, match="no project 'none'"):
        create(project="none")
    assert not Project.objects.exists()
