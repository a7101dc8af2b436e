"""What datasets, models and rollouts hold of a person, and what takes it away."""

from privacy.holders import Holder, Holdings, Step
from training import erasing, orphans
from training.told import told

HOLDINGS = Holdings(
    holders=[
        Holder("training.Dataset", kept="its name, purpose and settings"),
        Holder("training.HistoricalDataset", kept="what engineers changed of it"),
        Holder(
            "training.DatasetVersion",
            holds="a hash to which the person's rows contribute; ids of feedback that it added",
            on_erasure="the current hash is summed again without these rows; the ids are removed",
            kept="the hash and the counts from when it was built",
        ),
        Holder(
            "training.Membership",
            holds="which versions the person's examples are in, and the hash of each",
            on_erasure="deleted",
        ),
        Holder(
            "training.LeftOut",
            holds="why versions left out the person's examples",
            on_erasure="deleted; what was left out for being like one of these is asked again",
        ),
        Holder(
            "training.Shard",
            holds="the names of files that hold the person's examples",
            on_erasure="deleted; written again without the person",
        ),
        Holder(
            "training.Archive",
            holds="names of compressed files of what promoted models learned from, by keyed hash",
            on_erasure="deleted; written again without the person",
        ),
        Holder(
            "training.Run",
            holds="how many contributors there were, and what all rows came to weigh; values of"
            " people's metadata as names of strata",
            on_erasure="one under way on a version with the person's rows begins again; strata are"
            " numbered",
            kept="figures about all rows",
        ),
        Holder(
            "training.ModelVersion",
            holds="a model that learned from the person's examples",
            on_erasure="withdrawn; what serves is replaced by an exact retrain without the person",
            kept="its number, its hash and when it was withdrawn",
        ),
        Holder("training.VersionErasure", kept="how many examples an erasure took from a version"),
        Holder(
            "training.ModelErasure",
            kept="that a model had learned from an erased person, and what was decided about it",
        ),
        Holder(
            "training.ModelCredit",
            holds="what the rows of the person's feedback did to a model's loss, by number",
            on_erasure="deleted with the model that learned from them",
        ),
        Holder("training.ModelAlias", kept="which model serves"),
        Holder("training.HistoricalModelAlias", kept="which model served when"),
        Holder(
            "training.GateResult",
            holds="ids of feedback that a new model gets wrong; values of people's metadata as"
            " names of slices",
            on_erasure="the person's ids are removed, and slices are numbered",
            kept="figures about all cases",
        ),
        Holder("training.Rollout", kept="counts of reactions by arm"),
        Holder("training.HistoricalRollout", kept="what was decided about it"),
        Holder(
            "training.Prediction",
            holds="which model answered the person",
            on_erasure="deleted",
        ),
        Holder(
            "training.AnswerToCheck",
            holds="that a moderator was to check an answer that the person was shown",
            on_erasure="deleted",
        ),
        Holder(
            "storage/artifacts",
            holds="models: weights, and a vocabulary of words that people wrote",
            on_erasure="removed with the model, unless a model without the person is the same",
        ),
        Holder(
            "storage/shards",
            holds="the person's examples, in files of what each version added",
            on_erasure="removed; written again without the person",
        ),
        Holder(
            "storage/archives",
            holds="the person's examples, in files of what promoted models were trained on",
            on_erasure="removed; written again without the person",
        ),
        Holder(
            "files/near",
            holds="hashes and signatures of the texts of a dataset, on the disk of who builds it",
            on_erasure="removed on this machine; made anew by the next build on any other",
        ),
    ],
    steps=[
        Step("training.examples", "Taking examples out of datasets", erasing.take_out),
        Step(
            "training.retrain",
            "Training again without this person",
            erasing.retrain,
            is_atomic=False,
        ),
        Step("training.files", "Removing models and files", erasing.remove_files, is_atomic=False),
    ],
    held=erasing.held,
    unlink=erasing.unlink,
    proven=erasing.proven,
    counted=erasing.counted,
    told=told,
    named=orphans.named,
    contradictions=erasing.contradictions,
)
