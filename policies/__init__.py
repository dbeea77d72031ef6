"""Mixing policies: feedback from training in, the weights of the next batch out.

Only numpy is imported at once; scipy and cvxpy when a policy needs them.
"""

from policies.feedback import Feedback
from policies.fixed import Fixed
from policies.policy import Decision, Policy, State, Task
from policies.proportional import Proportional
from policies.registry import load_policies
from policies.signals import Array, Signal
from policies.state import restore, to_plain
from policies.temperature import Temperature
from policies.ucb import UCB
from policies.uniform import Uniform
from policies.unimax import UniMax

__all__ = [
    "UCB",
    "Array",
    "Decision",
    "Feedback",
    "Fixed",
    "Policy",
    "Proportional",
    "Signal",
    "State",
    "Task",
    "Temperature",
    "UniMax",
    "Uniform",
    "load_policies",
    "restore",
    "to_plain",
]
