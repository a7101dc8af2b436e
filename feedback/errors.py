"""What feedback refuses, and with which code."""

from config.errors import EmendError


class Rejected(EmendError):
    """Well formed, but validation refused it; the row is kept and its `id` is in the answer."""

    code = "feedback.rejected"
    status = 422
    title = "The feedback was refused by validation"


class TransitionRefused(EmendError):
    code = "feedback.transition_refused"
    status = 409
    title = "The feedback's status does not allow this"


class ReviewInvalid(EmendError):
    code = "feedback.review_invalid"
    status = 422
    title = "The decision lacks something that it needs"


class TaskExists(EmendError):
    code = "feedback.task_exists"
    status = 409
    title = "The project has a task of that name"


class ExampleRefused(EmendError):
    """Written on a failed row; no endpoint answers with it."""

    code = "feedback.example_refused"
    status = 422
    title = "The correction is no longer an output of the task"


class WorkerDied(EmendError):
    """Written on a failed row; no endpoint answers with it."""

    code = "feedback.worker_died"
    status = 500
    title = "Processing this feedback killed its worker again and again"
