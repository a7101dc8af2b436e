from django.urls import path

from privacy import views

urlpatterns = [
    path("privacy/subjects/<str:user_id>/", views.SubjectView.as_view()),
    path("privacy/subjects/<str:user_id>/consents/<str:purpose>/", views.ConsentView.as_view()),
    path("privacy/subjects/<str:user_id>/preferences/", views.PreferencesView.as_view()),
    path("privacy/subjects/<str:user_id>/anonymize/", views.AnonymizeView.as_view()),
    path("privacy/subjects/<str:user_id>/export/", views.SubjectExportView.as_view()),
    path("privacy/erasures/", views.ErasuresView.as_view()),
    path("privacy/erasures/<uuid:erasure_id>/", views.ErasureView.as_view()),
    path("privacy/receipt-key/", views.ReceiptKeyView.as_view()),
]
