"""CloudWatch's metric math, as far as this project's alarms and dashboard use it. The emulator has none."""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Series = list[float | None]
"""One value for each period, oldest first; None where there is none."""


def calculate(expression: str, series: Mapping[str, Series]) -> Series:
    """Metric math: + - * / and comparisons, point by point, IF, FILL, MAX, MIN and SUM of lists."""
    length = len(next(iter(series.values())))
    return _Math(series, length).visit(ast.parse(expression, mode="eval").body)


class _Math:
    OPERATORS: Mapping[type[ast.AST], Callable[[float, float], float]] = {
        ast.Add: lambda a, b: a + b,
        ast.Sub: lambda a, b: a - b,
        ast.Mult: lambda a, b: a * b,
        ast.Div: lambda a, b: a / b if b else math.nan,
        ast.GtE: lambda a, b: float(a >= b),
        ast.Gt: lambda a, b: float(a > b),
        ast.LtE: lambda a, b: float(a <= b),
        ast.Lt: lambda a, b: float(a < b),
    }

    def __init__(self, series: Mapping[str, Series], length: int) -> None:
        self._series = series
        self._length = length

    def visit(self, node: ast.expr) -> Series:
        match node:
            case ast.Constant(value=int() | float() as number):
                return [float(number)] * self._length
            case ast.Name(id=name):
                return self._series[name]
            case ast.BinOp(left=left, op=operator, right=right):
                return self._both(type(operator), left, right)
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                return self._both(type(operator), left, right)
            case ast.Call(func=ast.Name(id="IF"), args=[condition, yes, no]):
                return [
                    None if c is None else (y if c else n)
                    for c, y, n in zip(self.visit(condition), self.visit(yes), self.visit(no), strict=True)
                ]
            case ast.Call(func=ast.Name(id="FILL"), args=[of, filling]):
                pairs = zip(self.visit(of), self.visit(filling), strict=True)
                return [point if point is not None else fill for point, fill in pairs]
        raise NotImplementedError(ast.unparse(node))

    def _both(self, operator: type[ast.AST], left: ast.expr, right: ast.expr) -> Series:
        """Where one side has no point, the result has none; nor where it divides by zero."""
        found: Series = []
        for a, b in zip(self.visit(left), self.visit(right), strict=True):
            value = math.nan if a is None or b is None else self.OPERATORS[operator](a, b)
            found.append(None if math.isnan(value) else value)
        return found
