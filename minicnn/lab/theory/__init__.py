"""Theory: what each layer's signal and gradient should be, before anything is computed."""

from minicnn.lab.theory.prediction import Prediction, predict, second_moments

__all__ = ["Prediction", "predict", "second_moments"]
