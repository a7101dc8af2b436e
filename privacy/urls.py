from django.urls import path

from privacy import views

urlpatterns = [
    path("privacy/subjects/<str:user_id>/", views.SubjectView.as_view()),
    path("privacy/subjects/<str:user_id>/consents/<str:purpose>/", views.ConsentView.as_view()),
]
