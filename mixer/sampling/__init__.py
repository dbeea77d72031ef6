"""How often each document of a domain is read, by what is known of it."""

from mixer.sampling.functions import Rehydration, SamplingFunction, Sigmoid
from mixer.sampling.scores import read_scores, write_scores
from mixer.sampling.stream import SampledStream

__all__ = [
    "Rehydration",
    "SampledStream",
    "SamplingFunction",
    "Sigmoid",
    "read_scores",
    "write_scores",
]
