"""What must hold of P2's Figure 3: how the shallow tower's number joins the ranker's."""

from __future__ import annotations

import torch
from torch import nn

from course.models.position_bias import ShallowTowerModel

PAGES, SLATE, DEVICES, WIDTH = 200, 10, 3, 12


def trial(seed: int) -> dict[str, float]:
    """Random numbers through a model of random weights.

    Returns
    -------
    dict with ``logit off by``, distance of the output from main logit + table;
    ``a product of probabilities is off by``, how far from the output the other reading would be;
    ``serving shifts by more than a constant``, within one device;
    ``share of hidden positions``, in training
    """
    generator = torch.Generator().manual_seed(seed)
    n = PAGES * SLATE
    main = nn.Sequential(nn.Linear(WIDTH, 1), nn.Flatten(0))
    with torch.no_grad():
        for parameter in main.parameters():
            parameter.normal_(generator=generator)
        model = ShallowTowerModel(main, SLATE, DEVICES).eval()
        model.shallow.table.weight.normal_(generator=generator)
        x = torch.randn(n, WIDTH, generator=generator)
        position = torch.arange(1, SLATE + 1).repeat(PAGES)
        device = torch.randint(0, DEVICES, (PAGES,), generator=generator).repeat_interleave(SLATE)
        own = main(x)
        place = model.shallow.table.weight[device * (SLATE + 1) + position, 0]
        output = model(x, position, device)
        product = torch.sigmoid(own) * torch.sigmoid(place)
        shift = model(x, None, device) - own
        spread = max(float(shift[device == d].std()) for d in range(DEVICES))
        torch.manual_seed(seed)
        hidden = model.train()(x, position, device) != output
    return {
        "logit off by": float((output - own - place).abs().max()),
        "a product of probabilities is off by": float(
            (product - torch.sigmoid(output)).abs().mean()
        ),
        "serving shifts by more than a constant": spread,
        "share of hidden positions": float(hidden.float().mean()),
    }
