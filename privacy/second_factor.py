"""A second factor of staff: codes of an app on their phone, and recovery codes without it.

Its secrets stand in the database as they are, for codes are computed of them.
"""

from base64 import b32encode
from collections.abc import Iterable
from typing import Any

import django_otp
import segno
from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.utils import timezone
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from config.errors import Throttled

RECOVERY_CODES = 10
DIGITS = 6


def device_of(user: Any, *, is_confirmed: bool = True) -> TOTPDevice | None:
    return TOTPDevice.objects.filter(user=user.pk, confirmed=is_confirmed).first()


def is_asked(user: Any) -> bool:
    """Return whether who gave the password has yet to give a code."""
    return not user.is_verified() and device_of(user) is not None


def may_enter(user: Any) -> bool:
    """Return whether no code is missing; over https nobody goes without a second factor."""
    return user.is_verified() or not (settings.IS_HTTPS or device_of(user))


def verify(user: Any, code: str, *, is_confirmed: bool = True) -> Device | None:
    """Return the device whose code this is; it takes each code once.

    Raises Throttled where wrong codes came before: the device then waits, each time twice as long.
    """
    code = "".join(code.split()).replace("-", "").lower()
    kind = TOTPDevice if len(code) == DIGITS else StaticDevice
    device = kind.objects.filter(user=user.pk, confirmed=is_confirmed).first()
    if device is None:
        return None
    is_allowed, told = device.verify_is_allowed()
    if not is_allowed:
        wait = (told["locked_until"] - timezone.now()).total_seconds()
        raise Throttled("Too many wrong codes.", retry_after_seconds=max(1, round(wait)))
    return django_otp.verify_token(user, device.persistent_id, code)


def begin(user: Any) -> TOTPDevice:
    """Make a secret to be confirmed by a first code; what was never confirmed goes."""
    TOTPDevice.objects.filter(user=user.pk, confirmed=False).delete()
    return TOTPDevice.objects.create(user_id=user.pk, name="app", confirmed=False)


def picture(device: TOTPDevice) -> str:
    """Return the QR code that the app reads, as the address of an image."""
    return segno.make(device.config_url, error="m").svg_data_uri(scale=5, light="#fff")


def secret(device: TOTPDevice) -> str:
    """Return the same secret to be typed, in groups of four."""
    text = b32encode(device.bin_key).decode()
    return " ".join(text[n : n + 4] for n in range(0, len(text), 4))


@transaction.atomic
def confirm(device: TOTPDevice) -> list[str]:
    """Ask for codes of this device from now on; return the recovery codes."""
    TOTPDevice.objects.filter(pk=device.pk).update(confirmed=True)
    device.confirmed = True
    note([device.user], by=device.user, what="Set up a second factor.")
    return new_recovery_codes(device.user)


@transaction.atomic
def new_recovery_codes(user: Any) -> list[str]:
    """Make codes that work once each; earlier ones work no more."""
    device, _ = StaticDevice.objects.get_or_create(user_id=user.pk, defaults={"name": "codes"})
    device.token_set.all().delete()
    codes = [StaticToken.random_token() for _ in range(RECOVERY_CODES)]
    StaticToken.objects.bulk_create([StaticToken(device=device, token=code) for code in codes])
    return [f"{code[:4]}-{code[4:]}" for code in codes]


def codes_left(user: Any) -> int:
    return int(StaticToken.objects.filter(device__user=user.pk).count())


@transaction.atomic
def remove(users: Iterable[Any], *, by: Any) -> int:
    """Forget devices and recovery codes of these people; return how many had a device."""
    gone = [user for user in users if device_of(user)]
    for kind in (TOTPDevice, StaticDevice):
        kind.objects.filter(user__in=[user.pk for user in gone]).delete()
    note(gone, by=by, what="Removed the second factor.")
    return len(gone)


def note(users: list[Any], *, by: Any, what: str) -> None:
    """Write into the admin's log whose second factor changed."""
    LogEntry.objects.log_actions(by.pk, users, action_flag=CHANGE, change_message=what)
