"""What gates do: experts in use, overlap of tasks, polarisation (chapter 08)."""

from __future__ import annotations

import numpy as np


def overlap(gates: np.ndarray) -> np.ndarray:
    r"""How much the gates of each pair of tasks have in common, :math:`\sum_i \min(g^a_i, g^b_i)`.

    Parameters
    ----------
    gates : (..., K, E) mean gate probabilities

    Returns
    -------
    (..., K, K) float: 1 = the same experts with the same shares, 0 = no expert in common
    """
    return np.minimum(gates[..., :, None, :], gates[..., None, :, :]).sum(axis=-1)


def effective_experts(gates: np.ndarray) -> np.ndarray:
    r"""Experts in use by each task (..., K): :math:`\exp(-\sum_i g_i \log g_i)`, from 1 to E."""
    g = np.maximum(np.asarray(gates, float), 1e-12)
    return np.exp(-(g * np.log(g)).sum(axis=-1))


POLARISED = 1.5
"""A gate that uses fewer effective experts than this, of eight, counts as polarised."""


def polarised(gates: np.ndarray, threshold: float = POLARISED) -> np.ndarray:
    """Whether any gate of a model has gone over to (nearly) one expert.

    P2 speaks of gates in which most experts get next to nothing, and gives no threshold; this one
    is ours.

    Parameters
    ----------
    gates : (..., K, E) mean gate probabilities

    Returns
    -------
    (...,) bool
    """
    return (effective_experts(gates) < threshold).any(axis=-1)
