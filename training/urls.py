from django.urls import path

from training import views

VERSION = "datasets/<slug:name>/versions/<int:number>/"

urlpatterns = [
    path("examples/batch/", views.ExamplesView.as_view()),
    path("datasets/", views.DatasetsView.as_view()),
    path("datasets/<slug:name>/versions/", views.VersionsView.as_view()),
    path(VERSION, views.VersionView.as_view()),
    path(f"{VERSION}export/", views.ExportView.as_view()),
    path(f"{VERSION}left-out/", views.LeftOutView.as_view()),
    path(f"{VERSION}diff/", views.DiffView.as_view()),
    path(f"{VERSION}lineage/", views.VersionLineageView.as_view()),
    path("feedback/<uuid:feedback_id>/lineage/", views.FeedbackLineageView.as_view()),
    path("runs/", views.RunsView.as_view()),
    path("runs/<uuid:run_id>/", views.RunView.as_view()),
    path("models/<slug:slug>/", views.ModelsView.as_view()),
    path("models/<slug:slug>/rollback/", views.RollbackView.as_view()),
    path("models/<slug:slug>/<int:number>/", views.ModelView.as_view()),
    path("models/<slug:slug>/<int:number>/lineage/", views.ModelLineageView.as_view()),
    path("models/<slug:slug>/<int:number>/promote/", views.PromoteView.as_view()),
    path("tasks/<slug:slug>/predict/", views.PredictView.as_view()),
    path("tasks/<slug:slug>/route/", views.RouteView.as_view()),
    path("rollouts/", views.RolloutsView.as_view()),
    path("rollouts/<uuid:rollout_id>/", views.RolloutView.as_view()),
    path("rollouts/<uuid:rollout_id>/advance/", views.AdvanceView.as_view()),
    path("rollouts/<uuid:rollout_id>/abort/", views.AbortView.as_view()),
]
