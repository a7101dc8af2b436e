"""What proves an erasure: a document signed with Ed25519 (RFC 8032), over its canonical JSON."""

import base64
from typing import Any, TypeAlias

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from privacy import tombstones
from privacy.errors import ReceiptInvalid

Document: TypeAlias = dict[str, Any]
TYPE = "emend.erasure-receipt/1"


def _private_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(tombstones.key("receipt"))


def public_key() -> str:
    """Return the key that receipts are verified with, 32 bytes in base64."""
    raw = _private_key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def sign(document: Document) -> Document:
    """Return the document with its signature."""
    unsigned = {"type": TYPE} | document
    signed = _private_key().sign(_canonical(unsigned))
    signature = {
        "algorithm": "Ed25519",
        "public_key": public_key(),
        "value": base64.b64encode(signed).decode(),
    }
    return unsigned | {"signature": signature}


def verify(receipt: Any) -> Document:
    """Return what a receipt of this installation says; raise ReceiptInvalid for any other."""
    try:
        signature, type_ = receipt["signature"], receipt["type"]
        value = base64.b64decode(signature["value"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise ReceiptInvalid("It has no signature that can be read.") from None
    if type_ != TYPE:
        raise ReceiptInvalid(f"It is no {TYPE}.")
    if signature.get("public_key") != public_key():
        raise ReceiptInvalid("It was signed with another key than this installation's.")
    document = {name: said for name, said in receipt.items() if name != "signature"}
    try:
        _private_key().public_key().verify(value, _canonical(document))
    except InvalidSignature:
        raise ReceiptInvalid("It says something else than what was signed.") from None
    return document


def _canonical(document: Document) -> bytes:
    return msgspec.json.encode(document, order="sorted")
