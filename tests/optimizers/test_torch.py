"""Fifty steps end where those of PyTorch 2.14.1 in float64 do, for every setting."""

import numpy as np
import pytest

from minicnn.optimizers import create
from minicnn.parameter import Parameter

STEPS = 50
CASES = [
    ("adagrad", {}, [1.0020392172432584, -1.9833349381139551, 0.5043240794751624]),
    ("adagrad", {"lr": 0.1, "lr_decay": 0.05},
     [1.0355125481422143, -1.934439590842973, 0.564985874990929]),
    ("adagrad", {"lr": 0.1, "weight_decay": 0.3},
     [0.4887488497319757, -1.2701869716406942, 0.3178609219852661]),
    ("adagrad", {"lr": 0.1, "initial_accumulator_value": 2.0},
     [0.9646664405309581, -1.8270298624996908, 0.49579347068786145]),
    ("adagrad", {"lr": 0.1, "eps": 0.5},
     [0.9681941028855189, -1.8433583172592634, 0.5115703008573722]),
    ("nadam", {}, [0.9987182277284959, -1.9830940529712493, 0.4993540420644883]),
    ("nadam", {"lr": 0.1, "betas": (0.7, 0.9)},
     [0.9164601597173074, -1.0339108484373716, 0.4439869271346295]),
    ("nadam", {"lr": 0.1, "eps": 0.5},
     [0.9317591422346323, -1.5411034515160367, 0.48351029495845055]),
    ("nadam", {"lr": 0.1, "weight_decay": 0.3},
     [-0.014221054502917168, 0.05906741751180224, -0.03150438547238141]),
    ("nadam", {"lr": 0.1, "momentum_decay": 0.5},
     [0.9531780542877213, -1.1437188645752927, 0.48933055357452515]),
    ("nadam", {"lr": 0.1, "weight_decay": 0.3, "decoupled_weight_decay": True},
     [0.1483785113074617, 0.03392136939101844, 0.04114770943199016]),
    ("sgd", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
     [0.659890177715412, 1.228264000125408, 0.5234418067049833]),
    ("sgd", {"lr": 0.1, "momentum": 0.9, "dampening": 1.0},
     [1.1243557780990845, -2.621778890495426, 1.24613466859451]),
    ("sgd", {"lr": 0.1, "momentum": 0.5, "dampening": 0.3, "weight_decay": 0.3},
     [0.02344242775449919, 0.1629085484391691, -0.05743651149810019]),
    ("sgd", {"lr": 0.1, "dampening": 0.3}, [0.9, -1.4500000000000013, 0.42499999999999993]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "expected"), CASES)
def test_fifty_steps_are_those_of_pytorch(name, settings, expected):
    parameter = Parameter(np.array([1.0, -2.0, 0.5]))
    optimizer = create(name, [parameter], **settings)
    i = np.arange(3)
    for t in range(1, STEPS + 1):
        parameter.grad[...] = ((7 * t + 5 * i * t * t + i) % 17 - 8) / 8
        optimizer.step()
    np.testing.assert_allclose(parameter.value, expected, rtol=1e-12)
