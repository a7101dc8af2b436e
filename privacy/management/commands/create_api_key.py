"""Make a key for a product's server or pages, or rotate it."""

from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Field

from config import json
from privacy.access import create_key, rotate_key
from privacy.limits import read_limits
from privacy.models import ApiKey, Project, Scope

MAX_OVERLAP_HOURS = 8_760  # a year
LIMITS = '{"contributor": {"burst": 40, "quota": null}, "key": {"quota": 100000}}'


class Command(BaseCommand):
    help = (
        "Print a new key, once, alone on stdout; makes the project if it is new. With --rotate the"
        " key NAME gets another secret and keeps its scope, origins, limits and all it sent."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "name", type=_name, help="what the key is for, as the admin will list it"
        )
        parser.add_argument("--project", required=True, type=_slug, metavar="SLUG")
        parser.add_argument(
            "--scope",
            choices=Scope.values,
            help="; ".join(label for _, label in Scope.choices),
        )
        parser.add_argument(
            "--origin",
            action="append",
            default=[],
            type=_origin,
            metavar="URL",
            help="an origin whose pages may use the key; repeat for several",
        )
        parser.add_argument(
            "--limits",
            default="{}",
            metavar="JSON",
            help="burst (10 s), rate (a minute) and quota (24 h) of the key, and by it of one"
            f" contributor, session or address, in place of the defaults; null is none: '{LIMITS}'",
        )
        parser.add_argument("--rotate", action="store_true", help="rotate the key of that name")
        add_overlap(parser, of="the earlier secret of a rotated key")

    def handle(self, **options: Any) -> None:
        self.stdout.write(_rotated(options) if options["rotate"] else self._created(options))

    def _created(self, options: dict[str, Any]) -> str:
        if options["scope"] is None:
            raise CommandError("--scope is required, unless --rotate is given.")
        limits = _limits(options["scope"], options["limits"])
        project, is_new = Project.objects.get_or_create(
            slug=options["project"], defaults={"name": options["project"]}
        )
        if is_new:
            self.stderr.write(f"New project {project.slug}.")
        return create_key(
            project=project,
            name=options["name"],
            scope=options["scope"],
            origins=options["origin"],
            limits=limits,
        )


def _limits(scope: str, text: str) -> Any:
    try:
        given = json.loads(text.encode())
        read_limits(scope, given)
    except (ValueError, msgspec.ValidationError) as error:
        message = f"These --limits cannot be read ({error}). Write them like '{LIMITS}'."
        raise CommandError(message) from None
    return given


def _rotated(options: dict[str, Any]) -> str:
    name, project, scope = options["name"], options["project"], options["scope"]
    if options["origin"] or options["limits"] != "{}":
        raise CommandError("--rotate keeps the key's origins and limits.")
    keys = ApiKey.objects.usable().filter(project__slug=project, name=name)
    found = keys.filter(scope=scope) if scope else keys
    if len(found) != 1:
        raise CommandError(f"{len(found)} usable keys of {project!r} have that name; must be one.")
    return rotate_key(found[0], overlap=options["overlap"])


def add_overlap(parser: CommandParser, *, of: str) -> None:
    parser.add_argument(
        "--overlap",
        type=_hours,
        default="24",
        metavar="HOURS",
        help=f"how long {of} goes on working; 24 by default, 0 where it has leaked",
    )


def _hours(text: str) -> timedelta:
    if not text.isdecimal() or int(text) > MAX_OVERLAP_HOURS:
        raise ArgumentTypeError(f"write whole hours, from 0 to {MAX_OVERLAP_HOURS}")
    return timedelta(hours=int(text))


def _name(text: str) -> str:
    return _clean(ApiKey.name.field, text)


def _slug(text: str) -> str:
    return _clean(Project.slug.field, text)


def _clean(field: "Field[Any, Any]", text: str) -> str:
    try:
        return str(field.clean(text, None))
    except ValidationError as error:
        raise ArgumentTypeError(" ".join(error.messages)) from error


def _origin(text: str) -> str:
    """Return an origin (RFC 6454) as browsers send it: any other spelling would match none."""
    parts = urlsplit(text)
    if not parts.netloc or text != f"{parts.scheme}://{parts.netloc}".lower():
        message = f"{text!r} is no origin: write it like https://shop.example, in lower case."
        raise ArgumentTypeError(message)
    return text
