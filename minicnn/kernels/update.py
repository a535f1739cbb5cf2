"""The optimizers' update rules: one loop over the elements for each rule, in parts.

A rule written in NumPy passes over memory once for every operation; fused into one loop
it reads and writes each array once. All arrays of a call are one-dimensional, contiguous,
of one dtype and one length, and are changed in place; only `grad` is left alone.

Settings stand in an array, so that a captured call reads those of its own step. They are float64
and are rounded to the arrays' dtype once, before the loop: a float32 loop then holds nothing but
float32 and fills the vectors. Differences such as 1 - beta are taken before that rounding (in
float32, 1 - 0.999 is off by 5e-5).

What a rule keeps from step to step fades where a gradient stays 0, as that of a dead ReLU's weights
does. After some 800 steps of momentum 0.9 it would be subnormal, which many processors add up to a
hundred times more slowly. So what is smaller than the smallest normal number becomes 0.
"""

import numpy as np

from minicnn.kernels import LANES
from minicnn.kernels.runtime.jit import kernel
from minicnn.kernels.runtime.thread_pool import parallel_for

SINGLE, DOUBLE = float(np.finfo(np.float32).tiny), float(np.finfo(np.float64).tiny)
PART = 1 << 13  # elements, about, that a thread updates in one go


@kernel
def bounds(part, size):
    """Where a part of the elements begins and ends, at whole cache lines."""
    parts, vectors = size // PART + 1, (size + LANES - 1) // LANES
    begin, end = part * vectors // parts, (part + 1) * vectors // parts
    return begin * LANES, min(end * LANES, size)


@kernel
def sgd(value, grad, velocity, numbers):
    """Stochastic gradient descent; `velocity` is None for a descent without momentum.

    `numbers`, float64, are the learning rate, the momentum, the weight decay, and 1 for Nesterov's.
    """
    parallel_for(_sgd_parts, value.size // PART + 1, (value, grad, velocity, numbers))


@kernel
def _sgd_parts(parts, value, grad, velocity, numbers):
    for part in parts:
        a, b = bounds(part, value.size)
        v = None if velocity is None else velocity[a:b]
        _sgd(value[a:b], grad[a:b], v, numbers)


@kernel
def damped_sgd(value, grad, velocity, numbers):
    """Stochastic gradient descent whose velocity takes a share of the gradient.

    A kernel of its own, so that :func:`sgd` need not multiply by that share. `numbers`, float64,
    are the learning rate, the momentum, the weight decay and the share.
    """
    parallel_for(_damped_sgd_parts, value.size // PART + 1, (value, grad, velocity, numbers))


@kernel
def _damped_sgd_parts(parts, value, grad, velocity, numbers):
    for part in parts:
        a, b = bounds(part, value.size)
        _damped_sgd(value[a:b], grad[a:b], velocity[a:b], numbers)


@kernel
def adagrad(value, grad, square_sum, numbers):
    """Adagrad; `numbers`, float64, are the step's learning rate, eps and the weight decay."""
    parallel_for(_adagrad_parts, value.size // PART + 1, (value, grad, square_sum, numbers))


@kernel
def _adagrad_parts(parts, value, grad, square_sum, numbers):
    for part in parts:
        a, b = bounds(part, value.size)
        _adagrad(value[a:b], grad[a:b], square_sum[a:b], numbers)


@kernel
def rmsprop(value, grad, square_average, velocity, numbers):
    """RMSProp; `velocity` is None for a descent without momentum.

    `numbers`, float64, are the learning rate, alpha, eps, the momentum and the weight decay.
    """
    arguments = (value, grad, square_average, velocity, numbers)
    parallel_for(_rmsprop_parts, value.size // PART + 1, arguments)


@kernel
def _rmsprop_parts(parts, value, grad, square_average, velocity, numbers):
    for part in parts:
        a, b = bounds(part, value.size)
        v = None if velocity is None else velocity[a:b]
        _rmsprop(value[a:b], grad[a:b], square_average[a:b], v, numbers)


@kernel
def adam(value, grad, first_moment, second_moment, numbers):
    """Adam and AdamW: the first decays by `weight_decay`, the second by `shrinkage`.

    `numbers`, float64, are the learning rate, beta1, beta2, eps, the first and the second
    correction, 1 / (1 - beta1^t) and 1 / (1 - beta2^t) at step t = 1, 2, ..., the weight decay, and
    the shrinkage, which is lr times the decoupled weight decay. That is subtracted, as a factor
    1 - shrinkage would lose its digits in float32.
    """
    arguments = (value, grad, first_moment, second_moment, numbers)
    parallel_for(_adam_parts, value.size // PART + 1, arguments)


@kernel
def _adam_parts(parts, value, grad, first_moment, second_moment, numbers):
    for part in parts:
        a, b = bounds(part, value.size)
        _adam(value[a:b], grad[a:b], first_moment[a:b], second_moment[a:b], numbers)


@kernel
def nadam(value, grad, first_moment, second_moment, numbers):
    """NAdam, whose step is made of the gradient and the first moment.

    `numbers`, float64, are the rates of these two, beta1, beta2, eps, the second correction, the
    weight decay and the shrinkage, the last three as for :func:`adam`.
    """
    arguments = (value, grad, first_moment, second_moment, numbers)
    parallel_for(_nadam_parts, value.size // PART + 1, arguments)


@kernel
def _nadam_parts(parts, value, grad, first_moment, second_moment, numbers):
    for part in parts:
        a, b = bounds(part, value.size)
        _nadam(value[a:b], grad[a:b], first_moment[a:b], second_moment[a:b], numbers)


@kernel
def lion(value, grad, first_moment, numbers):
    """Lion; `numbers`, float64, are the learning rate, beta1, beta2 and Adam's shrinkage."""
    parallel_for(_lion_parts, value.size // PART + 1, (value, grad, first_moment, numbers))


@kernel
def _lion_parts(parts, value, grad, first_moment, numbers):
    for part in parts:
        a, b = bounds(part, value.size)
        _lion(value[a:b], grad[a:b], first_moment[a:b], numbers)


@kernel
def smallest_normal(array):
    """The smallest normal number of an array's dtype."""
    return array.dtype.type(SINGLE if array.itemsize == 4 else DOUBLE)


@kernel
def flushed(x, smallest):
    """`x`, or 0 if it is subnormal; NaN stays."""
    return x - x if abs(x) < smallest else x


@kernel(flags={"contract"})
def _sgd(value, grad, velocity, numbers):
    real, smallest = value.dtype.type, smallest_normal(value)
    lr, momentum, weight_decay = real(numbers[0]), real(numbers[1]), real(numbers[2])
    nesterov = numbers[3] != 0
    for i in range(value.size):
        step = grad[i] + weight_decay * value[i]
        if velocity is not None:
            velocity[i] = flushed(momentum * velocity[i] + step, smallest)
            step = step + momentum * velocity[i] if nesterov else velocity[i]
        value[i] -= lr * step


@kernel(flags={"contract"})
def _damped_sgd(value, grad, velocity, numbers):
    real, smallest = value.dtype.type, smallest_normal(value)
    lr, momentum, weight_decay = real(numbers[0]), real(numbers[1]), real(numbers[2])
    share = real(numbers[3])
    for i in range(value.size):
        step = share * (grad[i] + weight_decay * value[i])
        velocity[i] = flushed(momentum * velocity[i] + step, smallest)
        value[i] -= lr * velocity[i]


@kernel(flags={"contract"})
def _adagrad(value, grad, square_sum, numbers):
    real, smallest = value.dtype.type, smallest_normal(value)
    lr, eps, weight_decay = real(numbers[0]), real(numbers[1]), real(numbers[2])
    for i in range(value.size):
        g = grad[i] + weight_decay * value[i]
        square_sum[i] = flushed(square_sum[i] + g * g, smallest)
        value[i] -= lr * (g / (np.sqrt(square_sum[i]) + eps))


@kernel(flags={"contract"})
def _rmsprop(value, grad, square_average, velocity, numbers):
    real, smallest = value.dtype.type, smallest_normal(value)
    lr, alpha, eps = real(numbers[0]), real(numbers[1]), real(numbers[2])
    beta, momentum, weight_decay = real(1 - numbers[1]), real(numbers[3]), real(numbers[4])
    for i in range(value.size):
        g = grad[i] + weight_decay * value[i]
        square_average[i] = flushed(alpha * square_average[i] + beta * (g * g), smallest)
        step = g / (np.sqrt(square_average[i]) + eps)
        if velocity is not None:
            velocity[i] = flushed(momentum * velocity[i] + step, smallest)
            step = velocity[i]
        value[i] -= lr * step


@kernel(flags={"contract"})
def _adam(value, grad, first_moment, second_moment, numbers):
    real, smallest = value.dtype.type, smallest_normal(value)
    lr, eps = real(numbers[0]), real(numbers[3])
    beta1, beta2 = real(numbers[1]), real(numbers[2])
    alpha1, alpha2 = real(1 - numbers[1]), real(1 - numbers[2])
    first_correction, second_correction = real(numbers[4]), real(numbers[5])
    weight_decay, shrinkage = real(numbers[6]), real(numbers[7])
    for i in range(value.size):
        g = grad[i] + weight_decay * value[i]
        first_moment[i] = flushed(beta1 * first_moment[i] + alpha1 * g, smallest)
        second_moment[i] = flushed(beta2 * second_moment[i] + alpha2 * (g * g), smallest)
        m_hat = first_correction * first_moment[i]
        v_hat = second_correction * second_moment[i]
        kept = value[i] - shrinkage * value[i]
        value[i] = kept - lr * (m_hat / (np.sqrt(v_hat) + eps))


@kernel(flags={"contract"})
def _nadam(value, grad, first_moment, second_moment, numbers):
    real, smallest = value.dtype.type, smallest_normal(value)
    grad_rate, moment_rate = real(numbers[0]), real(numbers[1])
    beta1, beta2, eps = real(numbers[2]), real(numbers[3]), real(numbers[4])
    alpha1, alpha2 = real(1 - numbers[2]), real(1 - numbers[3])
    correction = real(numbers[5])
    weight_decay, shrinkage = real(numbers[6]), real(numbers[7])
    for i in range(value.size):
        g = grad[i] + weight_decay * value[i]
        first_moment[i] = flushed(beta1 * first_moment[i] + alpha1 * g, smallest)
        second_moment[i] = flushed(beta2 * second_moment[i] + alpha2 * (g * g), smallest)
        step = grad_rate * g + moment_rate * first_moment[i]
        kept = value[i] - shrinkage * value[i]
        value[i] = kept - step / (np.sqrt(correction * second_moment[i]) + eps)


@kernel(flags={"contract"})
def _lion(value, grad, first_moment, numbers):
    real, smallest = value.dtype.type, smallest_normal(value)
    lr, shrinkage = real(numbers[0]), real(numbers[3])
    beta1, beta2 = real(numbers[1]), real(numbers[2])
    alpha1, alpha2 = real(1 - numbers[1]), real(1 - numbers[2])
    for i in range(value.size):
        g = grad[i]
        way = beta1 * first_moment[i] + alpha1 * g
        first_moment[i] = flushed(beta2 * first_moment[i] + alpha2 * g, smallest)
        kept = value[i] - shrinkage * value[i]
        value[i] = kept - lr * np.sign(way)


@kernel
def sum_of_squares(array):
    """Sum of the squared elements in float64, so that no float32 gradient overflows it."""
    total = 0.0
    for i in range(array.size):
        total += np.float64(array[i]) * np.float64(array[i])
    return total
