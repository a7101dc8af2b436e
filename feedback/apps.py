from django.apps import AppConfig


class FeedbackConfig(AppConfig):
    name = "feedback"
    verbose_name = "Feedback and review"

    def ready(self) -> None:
        from feedback import expiry
        from feedback.holdings import HOLDINGS
        from privacy import retention
        from privacy.holders import register

        register(HOLDINGS)
        retention.register(*expiry.RULES)
