"""Answers from the served model."""

import threading
from pathlib import Path

import pytest
from django.db import connection

from config.errors import FileDamaged, Malformed
from feedback.models import Inference
from privacy import consent
from privacy.access import Sender
from privacy.models import DataSubject
from tests.training.builders import Product
from training import rollouts, serving
from training.errors import NoModel
from training.models import Prediction
from training.rollouts import Plan
from training.serving import PredictBody


def serve(product):
    product.add_corpus()
    rollouts.promote(product.model())
    return product


@pytest.fixture
def shop(product):
    return serve(product)


def ask(product, text="the bread was good", **body):
    sent = {"input": text} | body
    sender = Sender(product.project, product.key)
    body = PredictBody(**sent)
    return serving.predict(sender=sender, task=product.task, body=body, is_verified=True, sent=sent)


def test_it_works(shop):
    served = ask(shop, user_id="ann", session_id="s1")
    assert served.inference.output == "pos"
    assert 0.5 < served.inference.confidence <= 1
    inference = Inference.objects.get()
    assert inference == served.inference
    assert (inference.input, inference.output) == ("the bread was good", "pos")
    assert (inference.user_id, inference.session_id) == ("ann", "s1")
    assert inference.model_version == "1"
    assert inference.confidence == served.inference.confidence
    prediction = Prediction.objects.get()
    assert prediction.inference == inference
    assert (prediction.model_version.version, prediction.arm) == (1, "champion")
    assert prediction.rollout is None


def test_an_answer_to_who_wants_no_link_names_nobody(shop):
    DataSubject.objects.create(project=shop.project, user_id="ann", is_anonymous=True)
    ask(shop, user_id="ann", session_id="s1")
    inference = Inference.objects.get()
    assert (inference.user_id, inference.session_id) == (None, "")
    assert bytes(inference.fingerprint) == b""


def test_a_canarys_answers_name_rollout_and_arm(shop):
    rollout = rollouts.start(shop.model(), Plan(share=0.5))
    arms = {ask(shop, user_id=f"user-{n}").route.arm for n in range(20)}
    assert arms == {"champion", "challenger"}
    for prediction in Prediction.objects.all():
        assert prediction.rollout == rollout
        is_new = prediction.arm == "challenger"
        assert prediction.model_version.version == (2 if is_new else 1)


def test_a_session_stands_for_a_user_who_is_unknown(shop):
    rollouts.start(shop.model(), Plan(share=0.5))
    for number in range(20):
        session, user = ask(shop, session_id=f"s{number}"), ask(shop, user_id=f"s{number}")
        assert session.route.arm == user.route.arm


def test_the_model_reads_redacted_text(shop, monkeypatch):
    read = []
    predict = serving.LinearClassifier.predict_proba

    def spy(self, texts):
        read.extend(texts)
        return predict(self, texts)

    monkeypatch.setattr(serving.LinearClassifier, "predict_proba", spy)
    served = ask(shop, "Good soup, write to ann@example.com")
    assert read == ["good soup, write to [email]"]
    assert served.inference.input == "Good soup, write to [EMAIL]"
    assert served.inference.redactions == {"EMAIL": 1}


def test_who_opted_out_gets_an_answer_and_nothing_is_stored(shop):
    consent.decide(project=shop.project, user_id="ann", purpose="collection", is_granted=False)
    served = ask(shop, user_id="ann")
    assert (served.inference.output, served.is_stored) == ("pos", False)
    assert not Inference.objects.exists()
    assert not Prediction.objects.exists()


def test_where_consent_is_withheld_by_default_nothing_is_stored(shop):
    shop.project.consent_default = "withheld"
    shop.project.save()
    shop.key.refresh_from_db()
    assert not ask(shop, user_id="ann").is_stored
    assert not Inference.objects.exists()


def test_without_a_model_there_is_no_answer(product):
    with pytest.raises(NoModel):
        ask(product)


def test_a_refusal_stores_nothing(shop):
    with pytest.raises(Malformed):
        ask(shop, "x" * 10_001)
    assert not Inference.objects.exists()


def test_a_damaged_artefact_is_a_clear_error(shop, settings):
    digest = shop.task.model_versions.get().weights_hash
    place = Path(settings.STORAGE_URL) / "artifacts" / digest[:2] / digest
    place.write_bytes(b"rubbish")
    serving._classifier.cache_clear()
    with pytest.raises(FileDamaged):
        ask(shop)
    assert not Inference.objects.exists()


def test_a_process_asks_for_the_aliases_once_a_second(shop, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(serving, "STATE_SECONDS", 60.0)
    serving.route(shop.task, "ann")
    with django_assert_num_queries(0):
        serving.route(shop.task, "ann")


def test_an_answer_can_be_corrected(shop):
    served = ask(shop, user_id="ann")
    assert shop.react(served.inference, "correction", "neg").status == "pending"


@pytest.mark.django_db(transaction=True)
def test_the_alias_swap_drops_no_request(monkeypatch):
    monkeypatch.setattr(serving, "STATE_SECONDS", 0.01)
    shop = serve(Product())
    second = shop.model()
    failures, versions = [], []
    is_over = threading.Event()

    def keep_asking():
        try:
            while not is_over.is_set():
                versions.append(ask(shop).route.model_version.version)
        except Exception as error:  # noqa: BLE001  whatever it is, the request was dropped
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        rollouts.promote(second)
        rollouts.rollback(shop.task)
    rollouts.promote(second)
    is_over.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(versions) <= {1, 2}
    assert Prediction.objects.count() == len(versions) >= 3
    serving._states.clear()
    assert ask(shop).route.model_version == second
