from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from asked_runs import SMALL, run
from lightning.pytorch import Trainer
from torch import Tensor

from mixer.batch import Batch
from mixer.evaluation import EvaluationLoader
from mixer.indexed import ShardWriter
from mixer.manifest import SPLITS, Manifest, SplitEntry
from policies import Signal
from policies.signals import GradientNoise
from trainer.data import CorpusDataModule
from trainer.module import LanguageModel
from trainer.network import build_network
from trainer.probes import gradient_probe
from trainer.probes.alignment import GradientAlignmentProbe
from trainer.probes.domain_sketches import DomainSketches, SketchSums
from trainer.probes.gradient_sketch import GradientSketcher
from trainer.probes.noise import GradientNoiseProbe, gradient_noise
from trainer.probes.probe import FORWARD_AND_HALF_BACKWARD, Probe

LENGTH = 32


class Nothing(Probe):
    signal = Signal.GRADIENT_NOISE

    def setup(self, trainer: Trainer, module: LanguageModel, data: CorpusDataModule) -> None:
        pass

    def answer(self) -> None:
        pass


def sketch_as_it_begins(batch: Batch) -> Tensor:
    """Gradients of the mean losses of sequences at the weights that a run begins with."""
    net = build_network(
        architecture="llama",
        config=SMALL,
        pretrained=None,
        vocab_size=257,
        sequence_length=LENGTH,
        seed=0,
    ).eval()
    return GradientSketcher(net, size=1024).sketch(batch.tokens).double() / LENGTH


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


def test_rows_are_gradients_of_mean_losses(corpus: Path) -> None:
    model = {"config": {**SMALL, "attention_dropout": 0.5}}  # Which must not show.
    asking, _ = run(corpus, GradientAlignmentProbe(sequences=4), micro_batches=2, model=model)
    (answer,) = asking.answers
    sketches = torch.cat([sketch_as_it_begins(batch) for batch in asking.batches])
    domain = torch.cat([batch.domain for batch in asking.batches])
    for number in range(3):
        expected = sketches[domain == number].mean(dim=0)
        np.testing.assert_allclose(answer.train[number], expected, rtol=1e-3, atol=1e-6)
    # Three domains of four held-out sequences each, and the batch.
    cost = FORWARD_AND_HALF_BACKWARD * LENGTH * (3 * 4 + 8)
    assert asking.tokens == pytest.approx([cost])


def test_held_out_sequences_are_the_same_each_time(corpus: Path) -> None:
    first, second = run(corpus, GradientAlignmentProbe(), steps=2)[0].answers
    assert first.validation.shape == (3, 1024)
    assert 0.5 < cosine(first.validation, second.validation) < 0.9999
    (other,) = run(corpus, GradientAlignmentProbe(), batch_size=5, seed=1)[0].answers
    np.testing.assert_allclose(other.validation, first.validation, rtol=1e-3, atol=1e-5)


def test_a_domain_that_is_absent_has_no_gradient(corpus: Path) -> None:
    (answer,) = run(corpus, GradientAlignmentProbe(sketch_size=16), batch_size=2)[0].answers
    missing = np.isnan(answer.train)
    assert missing.any(axis=1).tolist() == missing.all(axis=1).tolist()
    assert missing.all(axis=1).sum() == 1
    assert np.isfinite(answer.validation).all()


def test_preconditioning_begins_with_the_second_step(corpus: Path) -> None:
    plain, scaled = (
        run(corpus, GradientAlignmentProbe(preconditioned=on), steps=2)[0].answers
        for on in (False, True)
    )
    assert np.array_equal(plain[0].train, scaled[0].train)
    for one, other in zip(plain[1], scaled[1], strict=True):
        assert np.isfinite(other).all()
        assert cosine(one, other) < 0.9


@pytest.mark.parametrize(
    "probe", [GradientAlignmentProbe(preconditioned=True), GradientNoiseProbe()]
)
def test_training_goes_on_as_if_nothing_had_been_asked(corpus: Path, probe: Probe) -> None:
    _, plain = run(corpus, Nothing(), steps=3)
    expected = torch.get_rng_state()
    _, module = run(corpus, probe, steps=3)
    assert torch.equal(torch.get_rng_state(), expected)
    for ours, theirs in zip(module.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    one, other = (m.trainer.optimizers[0].state_dict()["state"] for m in (module, plain))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def write(folder: Path, domains: Mapping[str, np.ndarray]) -> Path:
    """A corpus of the same text in all splits."""
    entries: dict[str, dict[str, SplitEntry]] = {}
    for name, tokens in domains.items():
        entries[name] = {}
        for split, part in zip(SPLITS, np.split(tokens, len(SPLITS)), strict=True):
            with ShardWriter(folder / name / split, dtype=np.dtype("<u2")) as writer:
                writer.add_document(np.append(part, 256))
            size = len(part)
            entries[name][split] = SplitEntry(
                prefix=f"{name}/{split}", tokens=size + 1, bytes=size, documents=1
            )
    Manifest(tokenizer="byte", vocab_size=257, end_of_document=256, domains=entries).save(folder)
    return folder


def test_text_that_teaches_the_same_is_aligned(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    words = [generator.integers(97, 123, generator.integers(2, 8)) for _ in range(30)]
    digits = generator.integers(48, 58, (3000, 3))
    text = np.concatenate([np.r_[words[n % 30], 32, d, 32] for n, d in enumerate(digits)])
    text = text[: len(text) // 3 * 3]
    copy = np.where((text >= 48) & (text < 58), text + 100, text)
    noise = generator.integers(0, 256, len(text))
    corpus = write(tmp_path, {"text": text, "copy": copy, "noise": noise})
    # Slowly: what has been learnt of both is soon a balance that each pulls its own way.
    model = {"learning_rate": 3e-4, "final_factor": 1.0}
    probe = GradientAlignmentProbe(sequences=8)
    asking, _ = run(corpus, probe, steps=12, batch_size=12, model=model)
    answer = asking.answers[-1]
    _, to_copy, to_noise = (cosine(answer.validation[0], row) for row in answer.train)
    assert to_copy > 0.3
    assert abs(to_noise) < 0.15
    products = answer.validation[0] @ answer.train.T
    assert products[1] > 3 * abs(products[2])


def test_noise_is_that_of_training_sequences(corpus: Path) -> None:
    asking, _ = run(corpus, GradientNoiseProbe(sequences=3), steps=2)
    answer, later = asking.answers
    loader = asking.probe._fixed
    assert isinstance(loader, EvaluationLoader)
    sketches = torch.cat([sketch_as_it_begins(batch) for batch in loader]).numpy()
    domain = torch.cat([batch.domain for batch in loader]).numpy()
    for number in range(3):
        rows = sketches[domain == number]
        variance = rows.var(axis=0, ddof=1).sum()
        assert answer.variance[number] == pytest.approx(variance, rel=1e-3)
        square = (rows.mean(axis=0) ** 2).sum() - variance / 3
        assert answer.squared_norm[number] == pytest.approx(square, rel=1e-2)
    assert (later.variance != answer.variance).all()
    assert asking.tokens == pytest.approx([FORWARD_AND_HALF_BACKWARD * LENGTH * 3 * 3] * 2)


def noise_of(rows: np.ndarray) -> GradientNoise:
    sums = SketchSums(rows.sum(axis=1), (rows**2).sum(axis=(1, 2)), np.full(len(rows), 3.0))
    return gradient_noise(sums)


def test_estimates_of_noise_are_unbiased() -> None:
    generator = np.random.default_rng(0)
    mean, deviation = np.array([0.3, -0.2, 0.0, 0.1]), 0.5
    found = noise_of(mean + deviation * generator.normal(size=(20_000, 3, 4)))
    for estimate, truth in zip(found, (mean @ mean, 4 * deviation**2), strict=True):
        standard_error = estimate.std() / np.sqrt(len(estimate))
        assert abs(estimate.mean() - truth) < 4 * standard_error
        assert standard_error < 0.05 * truth
    assert (found.squared_norm < 0).any()


def test_one_sequence_has_no_noise() -> None:
    sums = SketchSums(np.ones((3, 2)), np.full(3, 2.0), np.array([0.0, 1.0, 2.0]))
    for estimate in gradient_noise(sums):
        assert np.isnan(estimate).tolist() == [True, True, False]


def test_neither_padding_nor_faults_are_counted() -> None:
    sums = DomainSketches(2, 2, torch.device("cpu"))
    rows = torch.tensor([[3.0, 4.0], [1.0, 0.0], [torch.nan, 1.0], [torch.inf, 0.0], [5.0, 5.0]])
    sums.add(rows, torch.tensor([0, 0, 1, 0, -1]))
    total, squares, sequences = sums.over_ranks(Trainer(accelerator="cpu", logger=False))
    assert total.tolist() == [[4.0, 4.0], [0.0, 0.0]]
    assert squares.tolist() == [26.0, 0.0]
    assert sequences.tolist() == [2.0, 0.0]


def test_a_sharded_network_is_refused(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_probe, "DTensor", torch.nn.Parameter)
    with pytest.raises(ValueError, match="signal gradient_noise cannot be measured on a sharded"):
        run(corpus, GradientNoiseProbe())


@pytest.mark.parametrize(
    ("probe", "settings", "message"),
    [
        (GradientAlignmentProbe, {"sequences": 0}, "gradient_sequences must be at least 1"),
        (GradientNoiseProbe, {"sequences": 1}, "at least 2 for gradient_noise, got 1"),
        (GradientNoiseProbe, {"sketch_size": 0}, "sketch_size must be at least 1, got 0"),
        (GradientAlignmentProbe, {"layers": "("}, "must be a regular expression, got '\\('"),
    ],
)
def test_settings_out_of_range_are_refused(
    probe: type[Probe], settings: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        probe(**settings)
