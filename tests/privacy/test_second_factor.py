"""The second factor of staff: how it is set up, asked for, lost and removed."""

import re
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp import models as totp
from django_otp.plugins.otp_totp.models import TOTPDevice

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"
PAGE = "/admin/second-factor/"
LIST = "/admin/auth/user/"


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Let time stand where codes are read."""
    clock = SimpleNamespace(now=1_800_000_000)
    monkeypatch.setattr(totp, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


@pytest.fixture
def admin():
    return User.objects.create_superuser("admin", password="right")


@pytest.fixture
def phone(admin, clock):
    """Set the second factor up; return the device."""
    client = Client()
    client.force_login(admin)
    client.get(PAGE)
    device = TOTPDevice.objects.get()
    client.post(PAGE, {"code": code_of(device, clock)})
    clock.now += 30
    device.refresh_from_db()
    return device


def code_of(device, clock):
    """Return what the app shows now."""
    app = TOTP(device.bin_key, device.step, device.t0, device.digits)
    app.time = clock.now
    return f"{app.token():06d}"


def with_password(**more):
    """Return a browser where the password was given, and the answer to it."""
    client = Client()
    body = {"username": "admin", "password": "right", "next": LIST} | more
    return client, client.post(LOGIN, body)


def enters(client):
    return client.get(LIST).status_code == 200


def shown_codes(answer):
    return re.findall(r"<code>([a-z2-7]{4}-[a-z2-7]{4})</code>", answer.text)


def test_it_works(phone, clock):
    client, answer = with_password()
    assert answer.headers["Location"] == LIST
    led = client.get(LIST).headers["Location"]
    assert led == f"{LOGIN}?next={LIST}"
    assert "Code of your app, admin" in client.get(led).text
    said = client.post(LOGIN, {"code": code_of(phone, clock), "next": LIST})
    assert said.headers["Location"] == LIST
    assert enters(client)


def test_the_password_alone_opens_no_page(phone):
    client, _ = with_password()
    for page in [
        "index",
        "password_change",
        "auth_user_changelist",
        "feedback_feedback_changelist",
    ]:
        answer = client.get(reverse(f"admin:{page}"))
        assert answer.headers["Location"].startswith(LOGIN)
    assert client.post(reverse("admin:auth_user_add"), {"username": "eve"}).status_code == 302
    assert client.get(PAGE).headers["Location"] == f"{LOGIN}?next={PAGE}"
    assert client.post(PAGE, {"code": "1", "remove": "1"}).status_code == 302
    assert User.objects.count() == TOTPDevice.objects.count() == 1


def test_a_code_works_once(phone, clock):
    code = code_of(phone, clock)
    for status in (302, 200):
        client, _ = with_password()
        assert client.post(LOGIN, {"code": code}).status_code == status
    assert not enters(client)


def test_codes_may_be_typed_with_spaces(phone, clock):
    code = code_of(phone, clock)
    client, _ = with_password()
    client.post(LOGIN, {"code": f" {code[:3]} {code[3:]} "})
    assert enters(client)


def test_wrong_codes_count_as_failed_logins(phone, clock, settings):
    settings.OTP_TOTP_THROTTLE_FACTOR = 0
    client, _ = with_password()
    for _ in range(10):
        assert client.post(LOGIN, {"code": "000000"}).status_code == 200
    answer = client.post(LOGIN, {"code": code_of(phone, clock)})
    assert (answer.status_code, int(answer.headers["Retry-After"]) > 800) == (429, True)
    assert "Too many failed logins. Try again in 1" in answer.text
    assert not enters(client)
    assert with_password()[1].status_code == 429


def test_wrong_codes_from_anywhere_make_the_device_wait(phone, clock):
    for n in range(3):
        TOTPDevice.objects.update(throttling_failure_timestamp=None)
        client, _ = with_password()
        client.post(LOGIN, {"code": "000000"}, REMOTE_ADDR=f"192.0.2.{n}")
    client, _ = with_password()
    answer = client.post(LOGIN, {"code": code_of(phone, clock)}, REMOTE_ADDR="192.0.2.9")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "4")
    assert "Try again in 4 s" in answer.text


def test_a_session_is_made_anew_with_the_code(phone, clock):
    client, _ = with_password()
    before = client.session.session_key
    client.post(LOGIN, {"code": code_of(phone, clock)})
    assert client.session.session_key != before


def test_no_other_site_is_led_to(phone, clock):
    client, _ = with_password()
    answer = client.post(LOGIN, {"code": code_of(phone, clock), "next": "https://evil.example/"})
    assert answer.headers["Location"] == "/admin/"


def test_who_is_asked_for_a_code_may_leave(phone):
    client, _ = with_password()
    client.post(LOGIN, {"leave": "1"})
    assert 'name="password"' in client.get(LOGIN).text


def test_a_session_from_before_the_set_up_is_asked(admin, clock):
    old = Client()
    old.force_login(admin)
    assert enters(old)
    TOTPDevice.objects.create(user=admin, name="app")
    assert not enters(old)


def test_setting_up_shows_the_secret_as_picture_and_text(admin_client):
    answer = admin_client.get(PAGE)
    picture = re.search(
        r'<img class="qr" src="data:image/svg\+xml;charset=utf-8,([^"]+)"', answer.text
    )
    assert unquote(picture[1]).startswith("<svg")
    (device,) = TOTPDevice.objects.all()
    typed = re.search(r'class="secret">([A-Z2-7 ]+)<', answer.text)[1].replace(" ", "")
    asked = urlsplit(device.config_url)
    assert parse_qs(asked.query)["secret"] == [typed]
    assert unquote(asked.path) == "/Emend (127.0.0.1):admin"
    assert "no-store" in answer.headers["Cache-Control"]


def test_what_was_not_confirmed_asks_nobody(admin_client):
    admin_client.get(PAGE)
    admin_client.post(PAGE, {"code": "000000"})
    assert enters(admin_client)
    assert list(TOTPDevice.objects.values_list("confirmed")) == [(False,)]


def test_a_wrong_first_code_keeps_the_picture(admin_client):
    first = admin_client.get(PAGE).text
    again = admin_client.post(PAGE, {"code": "000000"})
    secret = re.compile(r'class="secret">([^<]+)<')
    assert "This code does not work now" in again.text
    assert secret.search(first)[1] == secret.search(again.text)[1]
    assert secret.search(admin_client.get(PAGE).text)[1] != secret.search(first)[1]


def test_setting_up_keeps_one_logged_in_and_is_noted(admin, clock):
    client = Client()
    client.force_login(admin)
    client.get(PAGE)
    answer = client.post(PAGE, {"code": code_of(TOTPDevice.objects.get(), clock)})
    assert len(set(shown_codes(answer))) == 10
    assert enters(client)
    assert LogEntry.objects.get().change_message == "Set up a second factor."


def test_recovery_codes_are_shown_once_and_work_once(phone, clock):
    client, _ = with_password()
    client.post(LOGIN, {"code": code_of(phone, clock)})
    clock.now += 30
    (code, *_) = shown_codes(client.post(PAGE, {"code": code_of(phone, clock), "renew": "1"}))
    assert shown_codes(client.get(PAGE)) == []
    assert "10 recovery codes left" in client.get(PAGE).text
    for is_in in (True, False):
        client, _ = with_password()
        client.post(LOGIN, {"code": code.upper()})
        assert enters(client) is is_in
    assert StaticToken.objects.count() == 9


def test_new_recovery_codes_end_the_old_ones(phone, clock):
    old = set(StaticToken.objects.values_list("token", flat=True))
    client, _ = with_password()
    client.post(LOGIN, {"code": code_of(phone, clock)})
    clock.now += 30
    client.post(PAGE, {"code": code_of(phone, clock), "renew": "1"})
    assert not old & set(StaticToken.objects.values_list("token", flat=True))


def test_removing_it_needs_a_code(phone, clock):
    client, _ = with_password()
    client.post(LOGIN, {"code": code_of(phone, clock)})
    client.post(PAGE, {"code": code_of(phone, clock), "remove": "1"})  # it was used
    assert TOTPDevice.objects.exists()
    TOTPDevice.objects.update(throttling_failure_timestamp=None)
    clock.now += 30
    client.post(PAGE, {"code": code_of(phone, clock), "remove": "1"})
    assert TOTPDevice.objects.count() == StaticDevice.objects.count() == 0
    assert enters(client)


def test_over_https_staff_without_one_only_set_it_up(admin, clock, settings):
    settings.IS_HTTPS = True
    client, _ = with_password()
    assert client.get(LIST).headers["Location"] == f"{LOGIN}?next={LIST}"
    assert client.get(LOGIN).headers["Location"] == PAGE
    shown = client.get(PAGE).text
    assert "Here everybody needs a second factor" in shown
    assert reverse("admin:password_change") not in shown
    client.post(PAGE, {"code": code_of(TOTPDevice.objects.get(), clock)})
    assert enters(client)


def test_over_http_it_is_offered(admin_client):
    assert f'<a href="{PAGE}">Second factor</a>' in admin_client.get(LIST).text


def test_the_page_is_for_staff():
    client = Client()
    assert client.get(PAGE).headers["Location"] == f"{LOGIN}?next={PAGE}"
    client.force_login(User.objects.create_user("visitor"))
    assert client.get(PAGE).status_code == 302
    assert not TOTPDevice.objects.exists()


def test_a_superuser_removes_that_of_a_lost_phone(admin_client):
    kim = User.objects.create_user("kim", is_staff=True)
    TOTPDevice.objects.create(user=kim, name="app")
    chosen = {"action": "remove_second_factor", "_selected_action": [kim.pk]}
    answer = admin_client.post(LIST, chosen, follow=True)
    assert "Removed of 1" in answer.text
    assert not TOTPDevice.objects.exists()
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_repr) == ("admin", "kim")


def test_nobody_else_removes_one(phone, client):
    kim = User.objects.create_user("kim", is_staff=True)
    kim.user_permissions.set(
        phone.user.user_permissions.model.objects.filter(codename="change_user")
    )
    client.force_login(kim)
    chosen = {"action": "remove_second_factor", "_selected_action": [phone.user.pk]}
    client.post(LIST, chosen)
    assert TOTPDevice.objects.exists()


def test_the_admin_shows_no_secrets(phone, clock):
    client, _ = with_password()
    client.post(LOGIN, {"code": code_of(phone, clock)})
    for page in ("/admin/otp_totp/totpdevice/", "/admin/otp_static/staticdevice/"):
        assert client.get(page).status_code == 404
    assert phone.key not in client.get(f"{LIST}{phone.user.pk}/change/").text


def test_an_operator_lets_a_locked_out_superuser_in(phone, capsys):
    call_command("addstatictoken", "admin")
    client, _ = with_password()
    client.post(LOGIN, {"code": capsys.readouterr().out.strip()})
    assert enters(client)
