from django.urls import path

from training.views import bias, credit, datasets, models, rollouts, runs, serving

VERSION = "datasets/<slug:name>/versions/<int:number>/"

urlpatterns = [
    path("examples/batch/", datasets.ExamplesView.as_view()),
    path("datasets/", datasets.DatasetsView.as_view()),
    path("datasets/<slug:name>/versions/", datasets.VersionsView.as_view()),
    path(VERSION, datasets.VersionView.as_view()),
    path(f"{VERSION}export/", datasets.ExportView.as_view()),
    path(f"{VERSION}left-out/", datasets.LeftOutView.as_view()),
    path(f"{VERSION}diff/", datasets.DiffView.as_view()),
    path(f"{VERSION}bias/", bias.BiasView.as_view()),
    path(f"{VERSION}lineage/", datasets.VersionLineageView.as_view()),
    path("feedback/<uuid:feedback_id>/lineage/", datasets.FeedbackLineageView.as_view()),
    path("runs/", runs.RunsView.as_view()),
    path("runs/<uuid:run_id>/", runs.RunView.as_view()),
    path("models/<slug:slug>/", models.ModelsView.as_view()),
    path("models/<slug:slug>/rollback/", models.RollbackView.as_view()),
    path("models/<slug:slug>/<int:number>/", models.ModelView.as_view()),
    path("models/<slug:slug>/<int:number>/lineage/", models.ModelLineageView.as_view()),
    path("models/<slug:slug>/<int:number>/credit/", credit.CreditView.as_view()),
    path("models/<slug:slug>/<int:number>/promote/", models.PromoteView.as_view()),
    path("tasks/<slug:slug>/predict/", serving.PredictView.as_view()),
    path("tasks/<slug:slug>/route/", serving.RouteView.as_view()),
    path("rollouts/", rollouts.RolloutsView.as_view()),
    path("rollouts/<uuid:rollout_id>/", rollouts.RolloutView.as_view()),
    path("rollouts/<uuid:rollout_id>/advance/", rollouts.AdvanceView.as_view()),
    path("rollouts/<uuid:rollout_id>/abort/", rollouts.AbortView.as_view()),
]
