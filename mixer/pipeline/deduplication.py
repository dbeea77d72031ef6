"""What is taken for a duplicate."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Near:
    """Near-duplicates by MinHash.

    Two documents whose sets of word n-grams have Jaccard similarity s become candidates with
    probability ``1 - (1 - s^hashes_per_bucket)^num_buckets``; the defaults, those of FineWeb, find
    pairs of 0.72 in 65 % and pairs of 0.8 in 92 % of cases. A document of fewer than ``n_grams``
    words is no near-duplicate of any other.

    Attributes:
        n_grams: Words per n-gram.
        num_buckets: Bands of the signature; each is one task per split.
        hashes_per_bucket: Hashes that must agree in a band.
        seed: Seed of the hash functions.
    """

    n_grams: int = 5
    num_buckets: int = 14
    hashes_per_bucket: int = 8
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("n_grams", "num_buckets", "hashes_per_bucket"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"deduplicate.minhash.{name} must be at least 1, got {value!r}")


@dataclass(frozen=True, kw_only=True)
class Deduplication:
    """Which duplicates are removed, within each split of each domain; one of each stays.

    Attributes:
        exact: Whether documents of the same text are.
        minhash: How near-duplicates are found; None leaves them in.
    """

    exact: bool = False
    minhash: Near | None = None

    def __bool__(self) -> bool:
        return self.exact or self.minhash is not None

    @classmethod
    def of(cls, said: object) -> Deduplication:
        """Understand ``{exact: true, minhash: {n_grams: 5, ...}}``; nothing removes nothing."""
        said = {} if said is None else said
        if not isinstance(said, Mapping) or set(said) - {"exact", "minhash"}:
            raise ValueError(
                f"deduplicate must say exact: true, minhash: true, or both, got {said!r}"
            )
        exact, near = said.get("exact", False), said.get("minhash", False)
        if not isinstance(exact, bool):
            raise ValueError(f"deduplicate.exact must be true or false, got {exact!r}")
        return cls(exact=exact, minhash=_near(near))

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def _near(said: object) -> Near | None:
    if isinstance(said, bool):
        return Near() if said else None
    known = [field.name for field in dataclasses.fields(Near)]
    if not isinstance(said, Mapping) or set(said) - set(known):
        raise ValueError(
            f"deduplicate.minhash must be true or a mapping of {', '.join(known)}, got {said!r}"
        )
    return Near(**said)
