"""The terminal voltage that a cohort's batteries show at a charge and a load. What lies below it is sag."""

from typing import Any

from river import linear_model

NAMES = ("one", "charge", "charge2", "charge3", "load")


class VoltageModel:
    """River's Bayesian linear regression (exact least squares, no learning rate) on a cubic of the charge and the mean current.

    The cubic follows the open-circuit curve of a lithium cell, the current's weight is the battery's resistance.
    Predict, then learn; about 20 us a window.
    """

    def __init__(self) -> None:
        self.count = 0
        self._model: Any = linear_model.BayesianLinearRegression()

    def usual_v(self, electric: tuple[float, ...]) -> float:
        return float(self._model.predict_one(dict(zip(NAMES, electric, strict=True))))

    def learn(self, electric: tuple[float, ...], voltage_v: float) -> None:
        self.count += 1
        self._model.learn_one(dict(zip(NAMES, electric, strict=True)), voltage_v)
