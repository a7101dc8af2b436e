"""Make a key for a product's server or pages."""

from argparse import ArgumentTypeError
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandParser
from django.db.models import Field

from privacy.access import create_key
from privacy.models import ApiKey, Project, Scope


class Command(BaseCommand):
    help = "Print a new key, once, alone on stdout; makes the project if it is new."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "name", type=_name, help="what the key is for, as the admin will list it"
        )
        parser.add_argument("--project", required=True, type=_slug, metavar="SLUG")
        parser.add_argument(
            "--scope",
            required=True,
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

    def handle(self, **options: Any) -> None:
        project, is_new = Project.objects.get_or_create(
            slug=options["project"], defaults={"name": options["project"]}
        )
        if is_new:
            self.stderr.write(f"New project {project.slug}.")
        key = create_key(
            project=project,
            name=options["name"],
            scope=options["scope"],
            origins=options["origin"],
        )
        self.stdout.write(key)


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
