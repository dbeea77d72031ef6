"""What a parser has to say about a mistake, in one line."""

from __future__ import annotations

import re

from policies import load_policies


def reason(error: Exception) -> str:
    """The one line of a parser's many that says what is wrong with an argument."""
    text = " ".join(str(error).split())
    unknown = re.search(r"<class 'policies\.policy\.Policy'>.*import path string: (\S+)", text)
    if unknown:
        known = ", ".join(sorted(load_policies()))
        return f"policy must be one of {known} or the path of a class, got {unknown[1]!r}"
    told = re.search(
        r"Errors: - (.*?)(?: Subclass types| - Expected a <class 'NoneType'>| Given value)", text
    )
    if told is None:
        return text
    where = re.match(r'Parser key "([^"]+)"', text)
    return f"{where[1]}: {told[1]}" if where else told[1]
