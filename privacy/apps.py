from django.apps import AppConfig


class PrivacyConfig(AppConfig):
    name = "privacy"
    verbose_name = "Privacy and access"

    def ready(self) -> None:
        from privacy import checks  # noqa: F401  registers
        from privacy.holders import register
        from privacy.holdings import HOLDINGS

        register(HOLDINGS)
