"""What training and serving refuse, and with which code."""

from config.errors import EmendError


class DatasetExists(EmendError):
    code = "training.dataset_exists"
    status = 409
    title = "The project has a dataset of that name"


class FormatUnsuitable(EmendError):
    code = "training.format_unsuitable"
    status = 422
    title = "This dataset cannot be exported in that format"


class VersionNotReady(EmendError):
    code = "training.version_not_ready"
    status = 409
    title = "The dataset version is not ready"


class NoCredit(EmendError):
    code = "training.no_credit"
    status = 409
    title = "What the rows of this model did is not known"


class NoTrainer(EmendError):
    code = "training.no_trainer"
    status = 422
    title = "No trainer fits this task's modality"


class TrainingDataUnfit(EmendError):
    """Written on a failed run; no endpoint answers with it."""

    code = "training.data_unfit"
    status = 422
    title = "The dataset version cannot train a model"


class NotToCheck(EmendError):
    code = "training.not_to_check"
    status = 409
    title = "Somebody answered, reacted or withdrew meanwhile: this is not checked any more"


class NoModel(EmendError):
    code = "training.no_model"
    status = 409
    title = "The task has no model to serve yet"


class NotPassed(EmendError):
    code = "training.not_passed"
    status = 409
    title = "The gates have not passed this version"


class Withdrawn(EmendError):
    code = "training.withdrawn"
    status = 409
    title = "This version had learned from an erased person"


class NothingToRollBack(EmendError):
    code = "training.nothing_to_roll_back"
    status = 409
    title = "No earlier champion is known"


class AlreadyChampion(EmendError):
    code = "training.already_champion"
    status = 409
    title = "This version serves everybody already"


class RolloutRunning(EmendError):
    code = "training.rollout_running"
    status = 409
    title = "The task has a rollout under way"


class TransitionRefused(EmendError):
    code = "training.transition_refused"
    status = 409
    title = "The status does not allow this"


class CannotJudge(EmendError):
    code = "training.cannot_judge"
    status = 422
    title = "The gates could not judge"
