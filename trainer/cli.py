"""The ``glotmix`` command."""

from __future__ import annotations

import sys
from argparse import ArgumentError, ArgumentParser
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

TRAINING = ("fit", "validate", "test")
TOOLS = {
    "prepare": ("mixer.prepare", "prepare", "turn a folder of text into token shards"),
    "manifest": ("mixer.adopt", "adopt", "describe Megatron shards that were made elsewhere"),
    "verify": ("mixer.adopt", "verify", "compare the shards of a corpus with its checksums"),
    "stories": ("mixer.stories", "write_corpus", "write the small built-in multilingual corpus"),
    "export": ("trainer.handover", "export", "write a run's mixture in the form of another tool"),
    "report": ("trainer.report.writing", "report", "turn a run into one page that opens from disk"),
    "lid train": ("mixer.languages.training", "train", "learn to tell a folder's languages apart"),
    "lid check": ("mixer.languages.inspection", "check", "show what is in another language"),
    "lid filter": ("mixer.languages.filtering", "filter_text", "set that text aside"),
}
# Their commands are named by two words.
GROUPS = {name.split()[0] for name in TOOLS if " " in name}
_HELP = {
    "fit": "train a model with a mixing policy",
    "validate": "evaluate a checkpoint on the validation split",
    "test": "evaluate a checkpoint on the test split",
    "show": "print the table of one or several runs",
    "compare": "train several policies at equal total cost and print one table",
    "simulate": "try policies on training runs that are a law instead of a network",
} | {name: text for name, (_, _, text) in TOOLS.items()}


def usage() -> str:
    """What `glotmix --help` prints."""
    width = max(map(len, _HELP))
    commands = "\n".join(f"  {name.ljust(width)}  {text}" for name, text in _HELP.items())
    return (
        "usage: glotmix COMMAND ...\n\nDecides, while a multilingual language model trains, how "
        f"much of each language it sees next.\n\n{commands}\n\n"
        "glotmix COMMAND --help tells what a command takes."
    )


def main() -> None:
    """Run the command that the command line names; a user's mistake is told in one line."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return
    command = " ".join(words[: 2 if words[0] in GROUPS else 1])
    if command not in _HELP:
        sys.exit(f"glotmix: no command {command!r}; there are {', '.join(_HELP)}")
    try:
        _run(command, words)
    except (ArgumentError, ValueError) as error:
        sys.exit(f"glotmix {command}: {_reason(error)}")
    except KeyboardInterrupt:
        sys.exit(f"glotmix {command}: interrupted")


def _reason(error: Exception) -> str:
    text = str(error)
    if "Errors:\n" not in text and not isinstance(error, ArgumentError):
        return text
    return str(import_module("trainer.parsing").reason(error))


def _run(command: str, words: list[str]) -> None:
    # Imported late: `glotmix prepare` needs neither torch nor lightning, which take seconds.
    if command in TRAINING:
        import_module("trainer.fit").run()
        return
    if command == "show":
        parser = ArgumentParser(prog="glotmix show", description="Print runs side by side.")
        parser.add_argument("runs", nargs="+", type=Path, help="folders of runs")
        parser.add_argument(
            "--watch", type=float, metavar="SECONDS", help="print again, until all are through"
        )
        import_module("trainer.table").show(**vars(parser.parse_args(words[1:])))
        return
    if command in ("compare", "simulate"):
        module = "trainer.compare.comparing" if command == "compare" else "trainer.simulating"
        import_module(module).run(words[1:])
        return
    module, name, _ = TOOLS[command]
    if command == "prepare" and (of_pipeline := _of_pipeline(words)):
        module, name, words = "mixer.pipeline.command", "prepare_by_pipeline", of_pipeline
    _call(getattr(import_module(module), name), f"glotmix {command}", words[len(command.split()) :])


def _of_pipeline(words: list[str]) -> list[str]:
    """The words without ``--pipeline``, which the path of its configuration follows; or none."""
    flags = [word for word in words if word == "--pipeline" or word.startswith("--pipeline=")]
    rest = [word.removeprefix("--pipeline=") for word in words if word != "--pipeline"]
    return rest if flags else []


def _call(function: Callable[..., object], prog: str, words: list[str]) -> None:
    """Call a function with command-line words: its first parameter by place, the rest by name."""
    import docstring_parser
    import jsonargparse

    documentation = docstring_parser.parse(function.__doc__ or "")
    first = documentation.params[0]
    parser = jsonargparse.ArgumentParser(prog=prog, description=documentation.short_description)
    parser.add_argument(first.arg_name, type=Path, help=first.description)
    parser.add_function_arguments(function, skip={first.arg_name}, as_group=False)
    function(**parser.parse_args(words))


if __name__ == "__main__":
    main()
