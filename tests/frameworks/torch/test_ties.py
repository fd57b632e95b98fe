"""A tie is told by what a parameter is, not by an address that tensors without memory of their own share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from initlab.frameworks.torch.reading.parameters import entries


@pytest.fixture
def mesh() -> Iterator[DeviceMesh]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield init_device_mesh("cpu", (1,))
    finally:
        dist.destroy_process_group()


def _first_names(net: nn.Module) -> dict[str, str]:
    return {entry.native: entry.first for entry in entries(net)}


def test_distributed_parameters_of_one_size_are_tied_only_where_they_are_one_object(mesh: DeviceMesh) -> None:
    net = nn.Sequential(*(nn.Linear(5, 5, bias=False) for _ in range(3)))
    for layer in (net[0], net[1]):
        layer.weight = nn.Parameter(distribute_tensor(layer.weight.detach(), mesh, [Shard(0)]))
    net[2].weight = net[0].weight
    assert net[0].weight.data_ptr() == net[1].weight.data_ptr() == 0
    assert _first_names(net) == {"0.weight": "0.weight", "1.weight": "1.weight", "2.weight": "0.weight"}


def test_two_objects_over_one_memory_are_tied() -> None:
    net = nn.Sequential(nn.Linear(5, 5, bias=False), nn.Linear(5, 5, bias=False))
    net[1].weight = nn.Parameter(net[0].weight.detach())
    assert _first_names(net) == {"0.weight": "0.weight", "1.weight": "0.weight"}
    assert net[1].weight is not net[0].weight
