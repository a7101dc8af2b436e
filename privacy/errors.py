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


class Erased(EmendError):
    code = "privacy.erased"
    status = 403
    title = "This person was erased"


class NotErased(EmendError):
    """Something of the person is left: written on a failed erasure, no endpoint answers with it."""

    code = "privacy.not_erased"
    status = 500
    title = "Something of the person is left"


class ReceiptInvalid(EmendError):
    """Said by `verify_erasure`; no endpoint answers with it."""

    code = "privacy.receipt_invalid"
    status = 422
    title = "This is no receipt of this installation"
