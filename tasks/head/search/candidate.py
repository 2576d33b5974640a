"""Candidates: ways to make a head."""

from typing import NamedTuple

from tasks.common.text import count

KINDS = {
    "discriminant": "shrinkage LDA",
    "ridge": "ridge regression",
    "logistic": "logistic regression",
    "average": "average",
    "hidden": "network with hidden layers",
}


class Candidate(NamedTuple):
    """A way to make a head.

    `taps` are indexes. `strength` is the shrinkage (None: Ledoit and Wolf's), or the penalty of ridge and logistic
    regression, or the weight decay of a network with hidden layers. `shares` are the factors of the logits of the
    `members` of an average.
    """

    kind: str
    taps: tuple[int, ...]
    strength: float | None = None
    class_weight: str = "none"
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    members: tuple["Candidate", ...] = ()
    shares: tuple[float, ...] = ()

    @property
    def title(self) -> str:
        """The kind in words, such as `average of 3 candidates (shrinkage LDA, logistic regression)`."""
        if not self.members:
            return KINDS[self.kind]
        kinds = dict.fromkeys(KINDS[member.kind] for member in self.members)
        if len(self.members) == 1:
            return next(iter(kinds))
        return f"average of {count(len(self.members), 'candidate')} ({', '.join(kinds)})"
