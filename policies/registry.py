"""The policies there are: the built-in ones and those of other packages."""

from __future__ import annotations

import inspect
from importlib.metadata import EntryPoint, entry_points

from policies.fixed import Fixed
from policies.learned import Learned
from policies.minimax.minimax_regret import MinimaxRegret
from policies.policy import Policy
from policies.proportional import Proportional
from policies.published.ado import ADO
from policies.published.aioli import Aioli
from policies.published.doge import DoGE
from policies.published.doremi import DoReMi
from policies.published.dump import DUMP
from policies.published.equitable import Equitable
from policies.published.gvm import GVM
from policies.published.odm import ODM
from policies.published.olmix import Olmix
from policies.published.pike import PiKE
from policies.published.regmix import RegMix
from policies.published.repetition_optimum import RepetitionOptimum
from policies.published.skill_it import SkillIt
from policies.published.tikmix_d import TiKMiXD
from policies.published.tikmix_m import TiKMiXM
from policies.published.velocitune import Velocitune
from policies.temperature import Temperature
from policies.ucb import UCB
from policies.uniform import Uniform
from policies.unimax import UniMax

GROUP = "glotmix.policies"
BUILT_IN: tuple[type[Policy], ...] = (
    ADO,
    DUMP,
    GVM,
    ODM,
    UCB,
    Aioli,
    DoGE,
    DoReMi,
    Equitable,
    Fixed,
    Learned,
    MinimaxRegret,
    Olmix,
    PiKE,
    Proportional,
    RegMix,
    RepetitionOptimum,
    SkillIt,
    Temperature,
    TiKMiXD,
    TiKMiXM,
    UniMax,
    Uniform,
    Velocitune,
)


def load_policies() -> dict[str, type[Policy]]:
    """Every policy by its short name, which is the name of its class.

    Another package offers policies in the entry-point group ``glotmix.policies``, one entry
    ``ClassName = "package.module:ClassName"`` each. Once imported, a class can be named in a
    configuration by its short name instead of its full path.

    Raises:
        ImportError: An entry point cannot be imported.
        ValueError: An entry point is not a policy, or two policies have the same name.
    """
    policies = {policy.__name__: policy for policy in BUILT_IN}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        policy = _load(point)
        other = policies.setdefault(point.name, policy)
        if other is not policy:
            raise ValueError(
                f"two policies are called {point.name}: {_path(other)} and {_path(policy)}; "
                f"rename one, or uninstall the package that brings it"
            )
    return policies


def _load(point: EntryPoint) -> type[Policy]:
    where = f"entry point {point.name} = {point.value!r} of group {GROUP}"
    try:
        policy = point.load()
    except Exception as error:  # Whatever a foreign module raises, the user must know whose it is.
        raise ImportError(f"{where} cannot be imported: {error}") from error
    if not (inspect.isclass(policy) and issubclass(policy, Policy)) or inspect.isabstract(policy):
        raise ValueError(f"{where} must be a policy that can be instantiated, got {policy!r}")
    if policy.__name__ != point.name:
        raise ValueError(f"{where} must be called {policy.__name__}, as its class is")
    return policy


def _path(policy: type[Policy]) -> str:
    return f"{policy.__module__}.{policy.__qualname__}"
