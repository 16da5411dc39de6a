"""A layer of one's own: a Module with parameters, used in a Sequential, trained by Adam."""

import minigan as mg
from minigan import nn
from minigan.rng import Generator

rng = Generator(seed=0, backend=mg.get_backend("cpu"))


class Swish(nn.Module):
    """y = x sigmoid(b x), with b learnt."""

    def __init__(self):
        super().__init__()
        self.b = nn.Parameter(mg.tensor([1.0]).data)

    def forward(self, x):
        return x * (self.b * x).sigmoid()


network = nn.Sequential(nn.Linear(1, 16, rng=rng), Swish(), nn.Linear(16, 1, rng=rng))
optimizer = mg.optim.Adam(network.parameters(), lr=0.02)
print(network)

x = mg.tensor(rng.uniform((256, 1), -3, 3))
target = (x * x).tanh()
for step in range(301):
    loss = nn.functional.mse_loss(network(x), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 100 == 0:
        print(f"step {step:3d}  loss {loss.item():.5f}  b {network[1].b.item():.3f}")
