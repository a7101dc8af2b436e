from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Only here so that Django finds the management commands and the checks."""

    name = "config"

    def ready(self) -> None:
        from config import checks  # noqa: F401
