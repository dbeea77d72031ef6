"""Tokens per second of our mixture beside plain gathers and other libraries.

``python benchmarks/loader.py [--quick] [--out benchmarks/results/loader.md]``

The peers are the ``bench`` extra. MosaicML Streaming asks for older versions than
``constraints.txt`` has: install it without them, in an environment of its own.

Every contender runs in a process of its own, so that no library's threads slow another one down,
and they take turns: one round of one, then one round of the next. Ratios are taken within rounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import environment
import loader_opening
import loader_peers as peers
import loader_plain as plain
import torch
from loader_contenders import OURS, ROUND_SECONDS, Measured, compare
from loader_plain import BATCH, LENGTH, WIDTH, Data

PACKAGES = (
    "torchdata",
    "litdata",
    "mosaicml-streaming",
    "datasets",
)
RESULTS = Path(__file__).parent / "results" / "loader.md"


@contextmanager
def generated(num_domains: int, num_tokens: int) -> Iterator[Data]:
    with tempfile.TemporaryDirectory(prefix="glotmix-loader-") as name:
        data = Data.generate(Path(name), num_domains, num_tokens)
        for library, write in peers.WRITERS.items():
            try:
                write(data)
            except ImportError as error:
                print(f"{library} cannot write its files: {error}", flush=True)
        yield data


def table(results: list[Measured]) -> str:
    ours = next(measured for measured in results if measured.entry.name == OURS)
    lines = [
        "| | weights | million tokens/s | µs per batch (quartiles) | ours is ... times as fast |",
        "|---|---|---:|---:|---:|",
    ]
    for measured in results:
        head = f"| {measured.entry.name} | {measured.entry.weights} |"
        if measured.failure:
            lines.append(f"{head} could not run | {measured.failure} | |")
            continue
        low, _, high = statistics.quantiles([1e6 * seconds for seconds in measured.rounds])
        speed = BATCH * LENGTH / measured.seconds / 1e6
        lines.append(
            f"{head} {speed:.1f} | {1e6 * measured.seconds:.0f} ({low:.0f} to {high:.0f}) "
            f"| {ratio(measured, ours)} |"
        )
    return "\n".join(lines)


def ratios(measured: Measured, ours: Measured) -> list[float]:
    return [other / own for other, own in zip(measured.rounds, ours.rounds, strict=True)]


def ratio(measured: Measured, ours: Measured) -> str:
    if measured is ours:
        return "1"
    values = ratios(measured, ours)
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def reading(num_domains: int, results: list[Measured]) -> str:
    """What the table says, from its numbers alone."""
    ours = next(measured for measured in results if measured.entry.name == OURS)
    ran = [measured for measured in results if measured.rounds]

    def of(prefix: str) -> list[tuple[float, str]]:
        return sorted(
            (statistics.median(ratios(measured, ours)), measured.entry.name)
            for measured in ran
            if measured.entry.name.startswith(prefix)
        )

    gathers = ", ".join(
        f"{value:.2f} of {name.removeprefix('plain: ')}" for value, name in reversed(of("plain"))
    )
    rivals = [(value, name) for value, name in of("") if not name.startswith(("plain", "glotmix"))]
    sentences = [f"At {num_domains} domains our mixture reaches {gathers} (aim: 0.8)."]
    if rivals:
        ahead = sum(value > 1 for value, _ in rivals)
        value, name = rivals[0]
        sentences.append(
            f"It is ahead of {ahead} of {len(rivals)} set-ups of other libraries; the fastest of "
            f"them is {name}, of which it has {value:.1f} times the speed."
        )
    return " ".join(sentences)


def split(data: Data, num_batches: int) -> str:
    """Where our time goes: a rank that reads one sequence of a batch pays for all but the rest."""
    weights = plain.moving_weights(data)
    whole, one_row = plain.mixture(data), plain.mixture(data, num_ranks=BATCH)
    times: dict[str, list[float]] = {"set": [], "whole": [], "one_row": []}
    for number in range(num_batches):
        chosen = weights[number % len(weights)]
        for key, mixture in (("whole", whole), ("one_row", one_row)):
            start = time.perf_counter()
            mixture.set_weights(chosen)
            middle = time.perf_counter()
            mixture.next_batch()
            times[key].append(time.perf_counter() - middle)
            times["set"].append(middle - start)
    cost = {key: 1e6 * statistics.median(values) for key, values in times.items()}
    return (
        f"{cost['set']:.0f} µs to set and check the weights, {cost['one_row']:.0f} µs for the "
        f"composition and the first sequence, {cost['whole'] - cost['one_row']:.0f} µs for the "
        f"other {BATCH - 1} sequences"
    )


def versions() -> str:
    """Installed versions of the other libraries, missing ones said to be so."""

    def one(package: str) -> str:
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            return f"{package} not installed"

    return ", ".join(one(package) for package in PACKAGES)


def report(num_tokens: int, num_rounds: int, domains: list[int]) -> str:
    sections = [
        "# Loading speed",
        environment.describe() + f"- peers: {versions()}\n",
        f"Batches of {BATCH} x {WIDTH} tokens as int64 tensors, from about "
        f"{2 * num_tokens / 1e6:.0f} MB of uint16 tokens in the page cache; domain sizes fall as "
        "1/rank. Batches are made in the main process unless workers are named; "
        f"`torch.set_num_threads(1)`. Medians of {num_rounds} alternating rounds of about "
        f"{ROUND_SECONDS} s, each contender in its own process; ratios are paired within rounds "
        "(median, then smallest to largest). Starting up is not counted.",
        "Our weights change before every batch. The other libraries keep theirs, in proportion to "
        "the domains' sizes: none of them takes new ones while it is iterated. They read separate "
        "blocks of 1025 tokens, shuffled, from files in their own format. Plain gathers read "
        "random positions of one file and know no domains, epochs or order; all but nanoGPT's are "
        "handed positions drawn ahead of time. MosaicML opens a file for every row, so it depends "
        "on what opening costs here.",
    ]
    for num_domains in domains:
        print(f"{num_domains} domains", flush=True)
        with generated(num_domains, num_tokens) as data:
            results = compare(data, num_rounds)
            costs = split(data, 300 * num_rounds)
        sections += [
            f"## {num_domains} domains",
            table(results),
            reading(num_domains, results),
            f"Our time per batch (medians): {costs}.",
        ]
    print("opening", flush=True)
    opening = loader_opening.measure(5)
    sections += [
        f"## Opening {loader_opening.NUM_DOMAINS:,} domains",
        f"Median of 5 fresh processes, after imports: {opening['open']:.2f} s to open all shards, "
        f"{opening['build']:.2f} s to build the mixture, {opening['batches']:.2f} s for the first "
        f"{loader_opening.NUM_BATCHES} batches. Memory grows by {opening['memory']:.0f} MB until "
        f"the first batch and by {opening['memory_after_batches']:.0f} MB in all. Aim: under 2 s "
        "and 300 MB.",
    ]
    return "\n\n".join(sections) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the tokens, 3 rounds")
    parser.add_argument("--domains", type=int, nargs="+", default=[12, 200])
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the report is written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    num_tokens, num_rounds = (15_000_000, 3) if options.quick else (150_000_000, 9)
    text = report(num_tokens, num_rounds, options.domains)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
