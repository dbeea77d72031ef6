import pytest

from trainer.table import render


def summary(bits: list[float | None], policy: str = "UCB", finished: bool = True) -> dict:
    rows = zip(["en", "sw"], bits, strict=True)
    return {
        "policy": policy,
        "step": 10,
        "max_steps": 20,
        "finished": finished,
        "domains": {
            name: {
                "tokens": 1_234_567.0,
                "epochs": 2.5,
                "mean_weight": 0.25,
                "validation_bits_per_byte": value,
            }
            for name, value in rows
        },
    }


def test_runs_stand_side_by_side() -> None:
    table = render([("runs/a", summary([1.0, 2.0])), ("runs/b", summary([1.5, None], "Uniform"))])
    lines = table.splitlines()
    assert lines[0] == "A: runs/a  UCB, step 10 of 20"
    assert lines[1] == "B: runs/b  Uniform, step 10 of 20"
    by_name = {line.split()[0]: line.split() for line in lines if line and line[0] != " "}
    cells = ["1,234,567", "2.50", "0.250"]
    assert by_name["en"] == ["en", *cells, "1.0000", *cells, "1.5000"]
    assert by_name["sw"][-1] == "-"
    assert by_name["mean"] == ["mean", "1.5000", "1.5000"]
    assert by_name["worst"] == ["worst", "sw", "2.0000", "en", "1.5000"]


def test_an_unfinished_run_says_so() -> None:
    late = summary([1.0, 2.0], finished=False)
    assert "step 10 of 20 (unfinished)" in render([("a", late)])
    late["state"] = "running, wrote 3 s ago"
    assert "step 10 of 20 (running, wrote 3 s ago)" in render([("a", late)])


def test_a_run_that_stands_alone_shows_its_training_too() -> None:
    early = summary([None, None], finished=False)
    early["domains"]["sw"] |= {"train_bits_per_byte": 3.25, "weight": 0.125}
    by_name = {
        line.split()[0]: line.split() for line in render([("a", early)]).splitlines() if line
    }
    assert by_name["sw"] == ["sw", "1,234,567", "2.50", "0.250", "0.125", "3.2500", "-"]
    assert by_name["worst"] == ["worst", "sw", "3.2500", "-"]


def test_runs_over_other_domains_are_refused() -> None:
    other = summary([1.0, 2.0])
    other["domains"].pop("sw")
    with pytest.raises(ValueError, match="must have the same domains"):
        render([("a", summary([1.0, 2.0])), ("b", other)])
    with pytest.raises(ValueError, match="at least one run"):
        render([])
