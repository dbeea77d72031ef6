from pathlib import Path

import numpy as np
import pytest
import torch
from asked_runs import SMALL, run
from corpora import write_corpus

from trainer.network import SequenceLossNetwork, build_network
from trainer.probes.probe import FORWARD
from trainer.probes.reference import ReferenceLossProbe, excess_sums

TOKENS_PER_STEP = 8 * 32


def network(
    seed: int = 0, vocab_size: int = 257, length: int = 32, **config
) -> SequenceLossNetwork:
    return build_network(
        architecture="llama",
        config={**SMALL, **config},
        pretrained=None,
        vocab_size=vocab_size,
        sequence_length=length,
        seed=seed,
    ).eval()


def save(net: SequenceLossNetwork, folder: Path) -> Path:
    net.model.save_pretrained(folder)
    return folder


def checkpoint(net: SequenceLossNetwork, path: Path) -> Path:
    weights = {f"net.{name}": value for name, value in net.state_dict().items()}
    torch.save({"state_dict": weights, "global_step": 3}, path)
    return path


def test_an_equal_reference_leaves_no_excess(corpus: Path, tmp_path: Path) -> None:
    probe = ReferenceLossProbe(save(network(seed=0), tmp_path))
    asking, module = run(corpus, probe, steps=2)
    first, second = asking.answers
    assert first.excess.tolist() == first.clipped_excess.tolist() == [0.0, 0.0, 0.0]
    # A step later the model is another, and the reference is not.
    assert (second.clipped_excess > 0).any()
    assert asking.tokens == pytest.approx([2 * FORWARD * TOKENS_PER_STEP] * 2)
    assert not any("reference" in name for name in module.state_dict())


def test_the_excess_is_that_of_tokens_one_by_one(corpus: Path, tmp_path: Path) -> None:
    own, reference = network(seed=0), network(seed=1)
    reference.model.base_model.embed_tokens.weight.data *= 10
    probe = ReferenceLossProbe(save(reference, tmp_path))
    # Two steps that hardly learn: the second answer is of the second batch alone.
    asking, _ = run(corpus, probe, steps=2, model={"learning_rate": 1e-9})
    for batch, answer in zip(asking.batches, asking.answers, strict=True):
        targets = batch.tokens[:, 1:, None]
        with torch.no_grad():
            logits = [net.model(input_ids=batch.tokens[:, :-1]).logits for net in (own, reference)]
        ours, theirs = (-one.log_softmax(2).gather(2, targets)[..., 0].double() for one in logits)
        for domain in range(3):
            excess = (ours - theirs)[batch.domain == domain]
            assert answer.excess[domain] == pytest.approx(float(excess.mean()), abs=1e-4)
            clipped = float(excess.clamp(min=0).mean())
            assert answer.clipped_excess[domain] == pytest.approx(clipped, abs=1e-4)
            assert clipped > max(float(excess.mean()), 0.0) + 0.01


def test_a_checkpoint_and_a_folder_give_the_same(corpus: Path, tmp_path: Path) -> None:
    reference = network(seed=1)
    paths = [save(reference, tmp_path / "model"), checkpoint(reference, tmp_path / "step=3.ckpt")]
    (one,), (other,) = (run(corpus, ReferenceLossProbe(path))[0].answers for path in paths)
    assert np.array_equal(one.excess, other.excess)
    assert np.array_equal(one.clipped_excess, other.clipped_excess)
    assert one.excess.any()


def test_accumulated_micro_batches_count_together(corpus: Path, tmp_path: Path) -> None:
    path = save(network(seed=1), tmp_path)
    (whole,) = run(corpus, ReferenceLossProbe(path))[0].answers
    (parts,) = run(corpus, ReferenceLossProbe(path), micro_batches=4)[0].answers
    np.testing.assert_allclose(parts.excess, whole.excess, rtol=1e-5)


def test_a_domain_that_is_absent_has_no_excess(corpus: Path, tmp_path: Path) -> None:
    probe = ReferenceLossProbe(save(network(seed=1), tmp_path))
    (answer,) = run(corpus, probe, batch_size=2)[0].answers
    assert np.isnan(answer.excess).sum() == np.isnan(answer.clipped_excess).sum() == 1


def test_sequences_that_are_not_finite_are_left_out() -> None:
    excess = torch.tensor([[1.0, -2.0], [torch.nan, 5.0], [7.0, torch.inf], [3.0, 4.0]])
    expected = [[2.0, -1.0, 1.0], [0.0] * 3, [0.0] * 3, [2.0, 7.0, 7.0]]
    assert excess_sums(excess).tolist() == expected


def test_a_larger_reference_costs_more(corpus: Path, tmp_path: Path) -> None:
    probe = ReferenceLossProbe(save(network(num_hidden_layers=3), tmp_path))
    asking, module = run(corpus, probe)
    large = sum(p.numel() for p in network(num_hidden_layers=3).parameters())
    small = sum(p.numel() for p in module.parameters())
    assert asking.tokens == pytest.approx([(1 + large / small) * FORWARD * TOKENS_PER_STEP])


def test_references_that_cannot_serve_are_refused(corpus: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.ckpt"
    text.write_text("no checkpoint")
    for path, message in (
        (tmp_path / "nothing", "must be a folder with config.json or a checkpoint"),
        (text, "is no checkpoint of a run; name the folder model"),
        (checkpoint(network(num_hidden_layers=2), tmp_path / "deep.ckpt"), "holds another model"),
        (save(network(vocab_size=200), tmp_path / "few"), "knows 256 tokens, the corpus uses 257"),
        (save(network(vocab_size=400), tmp_path / "many"), "with the tokenizer of the corpus"),
        (save(network(length=16), tmp_path / "short"), "takes 16 tokens at once, a sequence has"),
    ):
        with pytest.raises(ValueError, match=message):
            run(corpus, ReferenceLossProbe(path))


def test_the_corpus_decides_how_many_rows_are_padding(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "corpus", {"en": 3_000})
    probe = ReferenceLossProbe(save(network(vocab_size=320), tmp_path / "model"))
    (answer,) = run(folder, probe)[0].answers
    assert np.isfinite(answer.excess).all()
