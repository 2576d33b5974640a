"""The search: candidates are compared on folds, and the choice can be fitted on any rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.common.params import Head
from tasks.head import class_weights
from tasks.head.rows import Rows
from tasks.head.scaling import Scaling, measure_scaling
from tasks.head.search import choice, depth, fitting
from tasks.head.search.candidate import Candidate
from tasks.head.search.folds import Folds, make_folds
from tasks.head.search.linear import Array, Ints
from tasks.head.search.scores import Scored
from tasks.head.search.space import Space, make_space, rotate, standardise
from tasks.head.search.stacking import stack

# A stack gets no more members than fit into so many logits.
MOST_LOGITS = 20_000_000
LEAST_MEMBERS = 3
MEMBERS = ("discriminant", "logistic")


@dataclass(frozen=True, eq=False)
class Search:
    """The compared candidates, the best first, and the choice among them, with what fitting it again needs.

    `reference` is the candidate that another one must clearly beat; `ranking` lists the taps as the group lasso ranks
    them, the most useful first.
    """

    rows: Rows
    folds: Folds
    scaling: Scaling
    features: Array
    spaces: dict[tuple[int, ...], Space]
    class_weights: Mapping[str, Array]
    image_weights: Array
    scored: list[Scored]
    reference: Scored
    winner: Scored
    ranking: list[int]
    warnings: list[str]

    @property
    def targets(self) -> Ints:
        """The class numbers of the images, [n]."""
        return self.rows.targets[self.rows.plain]


def find_head(rows: Rows, params: Head, *, choose_taps: bool) -> Search:
    """Compare the linear candidates on folds over the images and choose one.

    With `choose_taps` false, the choice uses all taps; single taps are scored all the same.

    Raises:
        GraftError: There are too few images for folds, or the class weights do not fit the classes.
    """
    targets = rows.targets[rows.plain]
    weightings = class_weights.resolve(params.class_weight, targets, rows.classes)
    folds, warnings = make_folds(rows, params.folds, params.seed)
    scaling = measure_scaling(rows.vectors)
    features = standardise(rows, scaling)
    ranking = depth.rank_taps(features, rows) if len(rows.taps) > 1 else [0]
    spaces = {taps: make_space(features, rows, taps) for taps in depth.combinations(ranking)}
    every_tap = tuple(range(len(rows.taps)))
    usable = list(spaces) if choose_taps else [every_tap]
    image_weights = choice.image_weights(params.criterion, targets, len(rows.classes))

    scored: list[Scored] = []
    for space in spaces.values():
        scored += fitting.compare("discriminant", space, folds, weightings, fitting.SHRINKAGES)
    # The other kinds cost more, and are tried for the best taps only.
    top = choice.best([row for row in scored if row.candidate.taps in usable], params.criterion, image_weights)
    slow_weightings = weightings
    if params.criterion == "accuracy" and "none" in weightings:
        # Balanced weights cost accuracy, except by chance.
        slow_weightings = {"none": weightings["none"]}
    taps = top.candidate.taps
    spaces[taps] = rotate(spaces[taps])
    scored += fitting.compare("ridge", spaces[taps], folds, slow_weightings, fitting.RIDGE_PENALTIES)
    penalties = fitting.affordable_penalties(spaces[taps], folds.number, len(slow_weightings))
    if penalties:
        scored += fitting.compare("logistic", spaces[taps], folds, slow_weightings, penalties)

    eligible = [row for row in scored if row.candidate.taps in usable]
    stacks = [_stack(eligible, name, rows, folds, image_weights) for name in weightings]
    winner = choice.order(stacks, params.criterion, image_weights)[0]
    ranked = choice.order([*scored, *stacks], params.criterion, image_weights)
    return Search(
        rows, folds, scaling, features, spaces, weightings, image_weights, ranked, winner, winner, ranking, warnings
    )


def fit_choice(search: Search, candidate: Candidate, row_weights: Array) -> tuple[Array, Array]:
    """Return kernels [M, D, C] and biases [M, C] of a linear candidate for standardised features.

    It is fitted once for each of M sets of row weights [M, R]. D are the columns of the candidate's taps.
    """
    columns = search.rows.columns(candidate.taps)
    kernels = np.zeros((len(row_weights), search.features.shape[1], len(search.rows.classes)))
    biases = np.zeros((len(row_weights), len(search.rows.classes)))
    shares = dict(zip(candidate.members, candidate.shares, strict=True)) if candidate.members else {candidate: 1.0}
    families: dict[tuple[str, tuple[int, ...], str], list[Candidate]] = {}
    for member in shares:
        families.setdefault((member.kind, member.taps, member.class_weight), []).append(member)
    for (kind, taps, weighting), members in families.items():
        space = search.spaces[taps]
        strengths = [member.strength for member in members]
        fitted = fitting.fit(kind, space, row_weights, search.class_weights[weighting], strengths)
        factors = np.array([shares[member] for member in members])
        joined = np.tensordot(factors, fitted.kernels, 1)
        biases += np.tensordot(factors, fitted.biases, 1)
        for model, kernel in enumerate(joined):
            kernels[model][space.columns] += space.features_kernel(kernel)
    return kernels[:, columns], biases


def _stack(eligible: Sequence[Scored], weighting: str, rows: Rows, folds: Folds, image_weights: Array) -> Scored:
    """Return the stack of the candidates with these class weights."""
    members = [row for row in eligible if row.candidate.class_weight == weighting and row.candidate.kind in MEMBERS]
    most = max(LEAST_MEMBERS, MOST_LOGITS // members[0].logits.size)
    best = sorted(members, key=lambda row: choice.loss(row, image_weights))[:most]
    return stack(best, rows.targets[rows.plain], image_weights, folds.of_images)
