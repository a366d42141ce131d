"""Distributions along rays, and potentials with the squared norm."""

import pytest
import torch

from sklearn_ot.nn import MLP, LiftedPotential, RayDistributions


def rays(n_bins=8, seed=0):
    torch.manual_seed(seed)
    arguments = {"n_features": 2, "hidden_layer_sizes": (8,), "n_outputs": 2 * n_bins}
    edges = torch.linspace(-1, 1, n_bins + 1).sinh().tolist()
    probabilities = torch.rand(2, n_bins).add(0.1)
    probabilities = (probabilities / probabilities.sum(1, keepdim=True)).tolist()
    return RayDistributions((MLP, arguments), edges, probabilities).double()


def moved(module):
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.5 * torch.randn_like(weight))
    return module


def test_maps_are_inverse_and_monotone_on_each_ray():
    module = moved(rays())
    label = torch.randn(1, 2, dtype=torch.float64).expand(200, 2)
    t = torch.linspace(-1, 1, 200, dtype=torch.float64).sinh()
    images = module.transport(label, t)
    assert (images.diff() > 0).all()
    torch.testing.assert_close(module.inverse(label, images), t)
    assert (images - t).abs().max() > 0.05
    # Beyond the bins, the image is that of their end.
    torch.testing.assert_close(module.transport(label[:2], torch.tensor([-9.0, 9.0]).double()), module.edges[[0, -1]])


def test_distribution_functions_agree_with_the_bins():
    module = moved(rays())
    label = torch.randn(5, 2, dtype=torch.float64)
    torch.testing.assert_close(module.cumulative(label).diff(dim=2), module(label).softmax(2))
    middles = (module.edges[1:] + module.edges[:-1]) / 2
    assert module.bins(middles).tolist() == list(range(8))
    # The quantile of the target at the level of the source.
    t = middles[torch.tensor([0, 3, 7, 2, 5])]
    images = module.transport(label, t)
    level = torch.stack(
        [torch.lerp(c[0, b], c[0, b + 1], 0.5) for c, b in zip(module.cumulative(label), module.bins(t), strict=True)]
    )
    bins = module.bins(images)
    share = (images - module.edges[bins]) / (module.edges[bins + 1] - module.edges[bins])
    found = torch.stack(
        [torch.lerp(c[1, b], c[1, b + 1], s) for c, b, s in zip(module.cumulative(label), bins, share, strict=True)]
    )
    torch.testing.assert_close(found, level)


def test_before_training_all_rays_have_the_same_distributions():
    module = rays()
    at = module.cumulative(torch.randn(4, 2, dtype=torch.float64))
    torch.testing.assert_close(at, at[:1].expand_as(at))
    torch.testing.assert_close(at[0].diff(dim=1), module.base.exp())


def test_lifted_potential():
    network = (MLP, {"n_features": 4, "hidden_layer_sizes": (16,)})
    torch.manual_seed(0)
    module = LiftedPotential(3, network).double()
    x = torch.randn(1000, 3, dtype=torch.float64)
    assert (module(x) == 0).all()
    axis = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    with torch.no_grad():
        module.linear.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    # A linear function of the row, and of its squared norm with mean 0 and variance 1.
    torch.testing.assert_close(module(x), x @ axis + 4 * (x.square().sum(1) - 3) / 6**0.5)
    torch.testing.assert_close(module.gradient(x), axis + 8 * x / 6**0.5)
    # He's weights have the variance 2 / n.
    assert module.network.layers[0].weight.square().mean().item() == pytest.approx(1 / 2, rel=0.5)
