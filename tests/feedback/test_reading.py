"""One feedback as a product's server reads it: whose it is, and what it weighs."""

import pytest

from feedback import contributors
from feedback.contributors import Score
from feedback.models import Example
from tests.product import Product, process

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop():
    shop = Product("shop")
    shop.task()
    return shop


def distrust(shop, user_id, honesty=0.4):
    score = Score(user_id, honesty, evidence=-1.0, acts=40, agreed=16, disagreed=24)
    contributors.apply(shop.project.tasks.get(slug="mood"), [score])


def read(shop, row):
    return shop.get(f"feedback/{row['id']}/")


def test_it_works(shop):
    row = shop.correct("eve", signal="accepted", corrected=None)
    process()
    distrust(shop, "eve")
    shown = read(shop, row)
    assert shown["weight"] == {"signal": 0.5, "edit_quality": 1.0, "trust": 0.4, "total": 0.2}
    who = shown["contributor"]
    assert (who["user_id"], who["standing"], who["trust"]) == ("eve", "trusted", 0.4)
    assert who["explanation"].startswith("Agreed with what is thought right 16 times")


def test_a_small_change_weighs_less(shop):
    shop.task(slug="reply", modality="text", labels=[])
    said = "The shop opens at nine each day of the week but for Sunday, and closes at noon"
    answer = {"output": said, "corrected": said + "."}
    row = shop.correct("ann", "When?", task="reply", **answer)
    process()
    weight = read(shop, row)["weight"]
    assert 0.5 < weight["edit_quality"] < 1
    assert weight["total"] == Example.objects.get().base_weight


def test_who_is_not_scored_has_no_standing_and_full_weight(shop):
    row = shop.correct("ann")
    process()
    shown = read(shop, row)
    assert shown["contributor"] is None
    assert shown["weight"]["trust"] == 1.0


def test_an_act_without_a_name_has_no_contributor(shop):
    row = shop.correct(None)
    process()
    shown = read(shop, row)
    assert (shown["contributor"], shown["weight"]["total"]) == (None, 1.0)


def test_what_taught_nothing_weighs_nothing(shop):
    assert read(shop, shop.correct("ann"))["weight"] is None


def test_a_task_without_trust_weighs_all_alike(shop):
    row = shop.correct("eve")
    process()
    distrust(shop, "eve")
    shop.patch("tasks/mood/", {"settings": {"trust": False}})
    assert read(shop, row)["weight"]["total"] == 1.0


def test_a_decision_is_answered_with_the_whole_document(shop):
    row = shop.correct("ann", signal="down", corrected=None)
    decision = {"decision": "accept", "moderator": "mia", "corrected": "neg"}
    decided = shop.post(f"feedback/{row['id']}/review/", decision, 200)
    assert decided == read(shop, row)


def test_a_list_asks_nothing_for_each_row(shop, django_assert_max_num_queries):
    for n in range(12):
        shop.correct("ann", f"soup {n}")
    process()
    shop.get("feedback/")
    with django_assert_max_num_queries(8):
        rows = shop.get("feedback/")["results"]
    assert len(rows) == 12
