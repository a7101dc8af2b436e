from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Only here so that Django finds the management commands."""

    name = "config"
