from django.urls import path

from feedback.views import capture, contributors, images, reading, tasks

urlpatterns = [
    path("feedback/", capture.FeedbackListView.as_view()),
    path("inferences/", capture.InferencesView.as_view()),
    path("feedback/batch/", capture.FeedbackBatchView.as_view()),
    path("tasks/", tasks.TasksView.as_view()),
    path("tasks/<slug:slug>/", tasks.TaskView.as_view()),
    path("tasks/<slug:slug>/contributors/", contributors.ContributorsView.as_view()),
    path("tasks/<slug:slug>/scores/", contributors.ScoringView.as_view()),
    path("tasks/<slug:slug>/contributors/<str:user_id>/", contributors.ContributorView.as_view()),
    path("feedback/<uuid:feedback_id>/", reading.FeedbackView.as_view()),
    path("feedback/<uuid:feedback_id>/review/", reading.ReviewView.as_view()),
    path("images/", images.ImagesView.as_view()),
    path("images/<uuid:image_id>/", images.ImageView.as_view()),
    path("images/<uuid:image_id>/file/", images.ImageFileView.as_view()),
]
