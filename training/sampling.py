"""Which task each optimiser step of phase 2 trains: probabilities, as jiant's samplers give them.

From nyu-mll/jiant@daa5a25 jiant/proj/main/components/task_sampler.py: proportional, examples-capped,
temperature, explicit and time-dependent probabilities.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import RecipeError

Kind = Literal["proportional", "capped", "temperature", "weights", "scheduled"]

#: The cap of Phang et al. 2020 (unconfirmed), which is T5's K of 2**17 (Raffel et al. 2020).
CAP = 131_072


@dataclass(frozen=True, slots=True)
class Sampler:
    """The probability of each task at each step.

    - ``proportional``: to the number of examples;
    - ``capped``: to that number, at most `cap`;
    - ``temperature``: to the capped number to the power of 1 / `temperature`;
    - ``weights``: to the weights as numbers;
    - ``scheduled``: to the weights as expressions in the step ``t``, such as ``exp(t / 1000)``.
    """

    kind: Kind
    #: Task -> number of training examples.
    sizes: Mapping[str, int]
    #: Task -> weight; only the last two kinds read it.
    weights: Mapping[str, str]
    cap: int = CAP
    temperature: float = 1.0

    def probabilities(self, step: int) -> NDArray[np.float64]:
        """Return the probabilities (tasks,) in the order of `sizes`.

        Raises:
            RecipeError: a weight has no value, is negative or not finite at this step, or all are 0.
        """
        shares = np.asarray([self._share(task, step) for task in self.sizes])
        if not np.isfinite(shares).all() or (shares < 0).any() or not shares.any():
            shown = ", ".join(f"{task} {share:g}" for task, share in zip(self.sizes, shares, strict=True))
            message = f"weights at step {step} are {shown}; finite ones are needed, none below 0 and one above"
            raise RecipeError(message)
        return np.asarray(shares / shares.sum())

    def _share(self, task: str, step: int) -> float:
        size = self.sizes[task]
        shares: dict[Kind, Callable[[], float]] = {
            "proportional": lambda: size,
            "capped": lambda: min(size, self.cap),
            "temperature": lambda: min(size, self.cap) ** (1 / self.temperature),
            "weights": lambda: evaluate(self.weights[task], 0),
            "scheduled": lambda: evaluate(self.weights[task], step),
        }
        return float(shares[self.kind]())


_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "min": min,
    "max": max,
}


def evaluate(expression: str, step: int) -> float:
    """Return the value of an arithmetic expression over the step ``t``.

    Numbers, ``t``, ``+ - * / **``, brackets, exp, log, sqrt, min and max; nothing else is ever run.

    Raises:
        RecipeError: the expression holds something else, or has no value at this step.
    """
    try:
        return float(_value(ast.parse(expression.strip(), mode="eval").body, step))
    except (SyntaxError, ArithmeticError, TypeError, ValueError) as error:
        message = f"weight {expression!r} has no value at step {step} ({error})"
        raise RecipeError(message) from error


def _value(node: ast.expr, step: int) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.Name(id="t"):
            return step
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, step)
        case ast.BinOp(left=left, op=found, right=right) if type(found) in _OPERATORS:
            return _OPERATORS[type(found)](_value(left, step), _value(right, step))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_value(argument, step) for argument in arguments))
    message = f"{ast.unparse(node)!r} is no part of a weight; numbers, t, + - * / ** and {', '.join(_FUNCTIONS)} are"
    raise RecipeError(message)
