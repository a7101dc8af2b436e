"""What privacy refuses, and with which code."""

from config.errors import EmendError


class OptedOut(EmendError):
    code = "privacy.opted_out"
    status = 403
    title = "This person does not let anything be collected"


class NoConsent(EmendError):
    code = "privacy.no_consent"
    status = 403
    title = "This project collects only with consent, and this person has given none"
