"""Take feedback from a Kafka topic until a signal ends it."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.module_loading import import_string

from feedback.intake import Ending
from privacy.models import Project

CONSUME = "feedback.kafka.consume"  # by its path: it needs requirements/kafka.txt


class Command(BaseCommand):
    help = (
        "Store feedback (and inferences) that come as CloudEvents by a Kafka topic. Offsets are "
        "committed after the database; what cannot be stored is listed in the admin as a dead "
        "letter. Any number may run side by side. Ends on SIGTERM or Ctrl-C."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", default=settings.KAFKA_PROJECT, metavar="SLUG")
        parser.add_argument("--topic", default=settings.KAFKA_TOPIC)
        parser.add_argument("--group", default=settings.KAFKA_GROUP)

    def handle(self, **options: Any) -> None:
        if not settings.KAFKA_BOOTSTRAP_SERVERS:
            raise CommandError("Set KAFKA_BOOTSTRAP_SERVERS.")
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['project']}.")
        ending = Ending()
        try:
            consume = import_string(CONSUME)
        except ImportError as error:
            raise CommandError("The Kafka client is missing: run `make setup-kafka`.") from error
        consume(project=project, topic=options["topic"], group=options["group"], ending=ending)
