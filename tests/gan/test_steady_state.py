"""What a training step leaves to the allocator once it has been run a few times."""

import tracemalloc

import pytest

from minigan.gan import Trainer, create, presets


@pytest.mark.parametrize("preset", ["dcgan", "mlp"])
def test_a_step_allocates_next_to_nothing(preset):
    config = presets.configure(preset, batch_size=64)
    algorithm = create(config, "cpu")
    trainer = Trainer(config, algorithm, presets.get(preset).load_data(config.data))
    for step in range(3):
        algorithm.step(trainer.batch(step))
    batch = trainer.batch(3)
    tracemalloc.start()
    try:
        algorithm.step(batch)
        _, allocated = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert allocated < 5e6  # bytes, where its arrays are some 70 MB (dcgan) and 12 MB (mlp)
