from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"
    verbose_name = "Datasets and models"

    def ready(self) -> None:
        from privacy import retention
        from privacy.holders import register
        from training import expiry
        from training.holdings import HOLDINGS

        register(HOLDINGS)
        retention.register(*expiry.RULES)
