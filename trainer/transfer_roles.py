"""What share does for the language that gets it and for all others: altruistic or selfish."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from trainer.transfer_effects import Transfer

Role: TypeAlias = Literal["altruistic", "selfish", "stagnant", "unclear"]
CLEAR = 2.0
"""Standard errors from zero on which an effect counts as clear."""


class Standing(NamedTuple):
    """What a unit of share, taken from the mixture as a whole and given to a language, does.

    Attributes:
        name: The language.
        own: Its effect on the language itself.
        own_error: Standard error of that.
        others: Its mean effect on all other languages.
        others_error: Standard error of that, rather too large than too small.
        role: What that makes the language.
    """

    name: str
    own: float
    own_error: float
    others: float
    others_error: float
    role: Role


def standings(transfer: Transfer) -> list[Standing]:
    """What each language is, given effects whose rows are relative to the mixture.

    - altruistic: the others clearly gain from its share, whatever it does for itself;
    - stagnant: neither gains clearly, the language itself included;
    - selfish: it clearly gains, and the others clearly lose;
    - unclear: it clearly gains, and the others neither clearly gain nor clearly lose.

    How much a language *is helped* by all others is no further question: relative to the mixture
    its row has mean zero, so that what the others do for it mirrors what it does for itself.

    Errors of one column in different rows come from the same trials and go together. How far is
    estimated by how far effects themselves go together, what the languages truly have in common
    included: on the side of caution.

    Args:
        transfer: The effects; without standard errors nothing is clear.
    """
    other = ~np.eye(len(transfer.names), dtype=bool)
    common = _common(transfer)
    found = []
    for column, name in enumerate(transfer.names):
        effect, error = transfer.value[:, column], transfer.standard_error[:, column]
        rest = other[:, column]
        others = float(effect[rest].mean())
        together, apart = float(error[rest].sum() ** 2), float((error[rest] ** 2).sum())
        others_error = float(np.sqrt(common * together + (1 - common) * apart) / rest.sum())
        own, own_error = float(effect[column]), float(error[column])
        role = _role(own / own_error, others / others_error)
        found.append(Standing(name, own, own_error, others, others_error, role))
    return found


def _common(transfer: Transfer) -> float:
    """The correlation of two languages' errors in a column, on average, in [0, 1].

    That of the effects in standard errors: noise has mean zero and variance one in that unit.
    """
    size = len(transfer.names)
    other = ~np.eye(size, dtype=bool)
    effect = np.where(other, transfer.value / transfer.standard_error, 0.0)
    products = float((effect @ effect.T)[other].sum()) / max(1, size * (size - 1) * (size - 2))
    return float(np.clip(products, 0.0, 1.0))


def _role(own: float, others: float) -> Role:
    """The role by effects in standard errors."""
    if np.isnan(own) or np.isnan(others):
        return "unclear"
    if others > CLEAR:
        return "altruistic"
    if own <= CLEAR:
        return "stagnant"
    return "selfish" if others < -CLEAR else "unclear"
