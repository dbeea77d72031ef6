"""What the mixture may be, stated as data, and the nearest such mixture to what a policy wants."""

from policies.allocation.allocator import Aim, Allocation, Allocator
from policies.allocation.constraint import Constraint, Row
from policies.allocation.constraints import (
    Change,
    Cost,
    Epochs,
    Floor,
    Ratio,
    Share,
)
from policies.allocation.scope import Scope

__all__ = [
    "Aim",
    "Allocation",
    "Allocator",
    "Change",
    "Constraint",
    "Cost",
    "Epochs",
    "Floor",
    "Ratio",
    "Row",
    "Scope",
    "Share",
]
