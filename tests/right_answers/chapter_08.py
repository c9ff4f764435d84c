"""Right answers to the exercises of chapter 08, written in other ways than the reference."""

import numpy as np
import torch
from torch.nn import functional

from course.lessons import many_objectives as lesson


def losses_in_loops(outputs, labels):
    out = []
    for column, task in enumerate(lesson.TASKS):
        said, is_known = outputs[:, column], ~torch.isnan(labels[:, column])
        if not is_known.any():
            out.append(torch.zeros(()))
            continue
        said, truly = said[is_known], labels[is_known, column]
        if task in lesson.REGRESSIONS:
            out.append(functional.mse_loss(said, truly))
        else:
            out.append((functional.softplus(said) - truly * said).mean())
    return torch.stack(out)


class BottomByHand(lesson.SharedBottom):
    def forward(self, batch):
        h = torch.clamp(self.first(batch), min=0)
        for layer in self.above:
            h = layer(h)
        columns = []
        for m in range(len(self.towers.bias)):
            hidden = functional.leaky_relu(h @ self.towers.first[m] + self.towers.shift[m], 0.1)
            columns.append(hidden @ self.towers.last[m] + self.towers.bias[m])
        return torch.cat(columns, dim=1)


def cosines_one_by_one(losses, weight):
    pulls = [torch.autograd.grad(one, weight, retain_graph=True)[0].double() for one in losses]
    return np.array([[float((a * b).sum() / (a.norm() * b.norm())) for b in pulls] for a in pulls])


def combine_as_product(factors, weights):
    product = np.ones_like(next(iter(factors.values())), dtype=np.float32)
    for name, weight in weights.items():
        product = product * factors[name] ** weight
    return np.log(product)


RIGHT = {
    "08-masked-loss": [losses_in_loops],
    "08-forward": [BottomByHand],
    "08-cosines": [cosines_one_by_one],
    "08-combine": [combine_as_product],
}
