import torch
from lightning.pytorch import Trainer

from trainer.generators import GeneratorCallback
from trainer.module import LanguageModel


def test_generators_are_put_back_only_on_the_same_number_of_ranks() -> None:
    trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    module = LanguageModel()
    callback = GeneratorCallback()
    state = callback.state_dict()
    expected = torch.rand(3)
    callback.load_state_dict(state)
    callback.on_train_start(trainer, module)
    assert torch.equal(torch.rand(3), expected)

    callback.load_state_dict({"ranks": state["ranks"] * 2})
    callback.on_train_start(trainer, module)
    assert not torch.equal(torch.rand(3), expected)
