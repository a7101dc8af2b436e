from django.urls import path

from feedback import views

urlpatterns = [
    path("tasks/", views.TasksView.as_view()),
    path("tasks/<slug:slug>/", views.TaskView.as_view()),
    path("inferences/", views.InferencesView.as_view()),
    path("feedback/", views.FeedbackListView.as_view()),
    path("feedback/batch/", views.FeedbackBatchView.as_view()),
    path("feedback/<uuid:feedback_id>/", views.FeedbackView.as_view()),
    path("feedback/<uuid:feedback_id>/review/", views.ReviewView.as_view()),
]
