"""A GAN from the API: the two players, the two losses, the two updates. Learns a ring of eight Gaussians."""

import numpy as np

import minigan as mg
from minigan import nn
from minigan.data import ring
from minigan.gan.objectives import non_saturating as objective

mg.seed(0)


def dense(inputs, hidden, outputs):
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.LeakyReLU(0.2),
        nn.Linear(hidden, hidden),
        nn.LeakyReLU(0.2),
        nn.Linear(hidden, outputs),
    )


generator, discriminator = dense(16, 64, 2), dense(2, 64, 1)
g_optimizer = mg.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
d_optimizer = mg.optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.5, 0.999))
rng, data = mg.get_backend().generator, np.random.default_rng(0)

for step in range(1, 1001):
    real = mg.tensor(ring(256, data))
    fake = generator(mg.tensor(rng.normal((256, 16))))

    d_loss = objective.discriminator_loss(discriminator(real), discriminator(fake.detach()))
    d_optimizer.zero_grad()
    d_loss.backward()
    d_optimizer.step()

    g_loss = objective.generator_loss(discriminator(fake))
    g_optimizer.zero_grad()
    g_loss.backward(inputs=generator.parameters())  # the discriminator's gradients are not even computed
    g_optimizer.step()

    if step % 200 == 0:
        radius = (fake * fake).sum(axis=1).sqrt().mean()
        print(
            f"step {step:4d}  D {d_loss.item():.3f}  G {g_loss.item():.3f}  mean radius {radius.item():.3f} (ring: 1)"
        )
