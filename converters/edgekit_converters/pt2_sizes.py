"""The sizes of an exported program: expressions that torch evaluates as Python, so they are parsed here first.

torch writes a size as sympy's srepr does, ``Add(Symbol('s77', positive=True, integer=True), Integer(2))``, and reads it
back with sympy.sympify, which evaluates it. Only sums, products and small powers of symbols are let through.
"""

import ast
import re

_FUNCTIONS = frozenset({
    "Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Pow", "FloorDiv", "ModularIndexing", "Where", "PythonMod", "Mod", "CleanDiv",
    "CeilToInt", "FloorToInt", "CeilDiv", "FloatTrueDiv", "IntTrueDiv", "RoundToInt", "ToFloat", "TruncToInt", "TruncToFloat", "Identity",
    "Min", "Max", "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "Equality", "Unequality", "StrictLessThan", "LessThan", "StrictGreaterThan",
    "GreaterThan", "And", "Or", "Not", "Piecewise", "ExprCondPair", "floor", "ceiling", "PowByNatural", "FloatPow", "OpaqueUnaryFn_sqrt",
})  # fmt: skip
_CONSTANTS = frozenset({"true", "false", "oo", "int_oo", "S"})
_POWERS = frozenset({"Pow", "PowByNatural", "FloatPow"})
_KEYWORDS = frozenset({"positive", "integer", "nonnegative", "real", "finite", "precision"})
_SYMBOL = re.compile(r"[a-z]+\d+|\d+\.?\d*")
_MAX_LETTERS = 4000
_MAX_DIGITS = 20
#: A tower of powers would take the processor for ever.
_MAX_POWERS, _MAX_EXPONENT = 4, 8
_STRUCTURE = (ast.Expression, ast.Load, ast.operator, ast.unaryop, ast.cmpop)


def is_size(text: str) -> bool:
    """Whether *text* is an expression of sizes, and nothing else that Python could evaluate."""
    if len(text) > _MAX_LETTERS:
        return False
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    powers = sum(_is_power(node) for node in nodes)
    return powers <= _MAX_POWERS and all(map(_is_sound, nodes))


def _is_sound(node: ast.AST) -> bool:
    """Whether *node* by itself may stand in a size; its children are looked at by themselves."""
    if isinstance(node, ast.Call):
        called = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
        return called and (not _is_power(node) or (len(node.args) == 2 and _is_small(node.args[1])))
    if isinstance(node, ast.BinOp):
        return not isinstance(node.op, ast.LShift) and (not _is_power(node) or _is_small(node.right))
    if isinstance(node, ast.Name):
        return node.id in _FUNCTIONS | _CONSTANTS or bool(_SYMBOL.fullmatch(node.id))
    if isinstance(node, ast.Constant):
        return _is_value(node.value)
    if isinstance(node, ast.keyword):
        return node.arg in _KEYWORDS
    return isinstance(node, (ast.UnaryOp, ast.Compare, *_STRUCTURE))


def _is_value(value: object) -> bool:
    if isinstance(value, str):
        return _SYMBOL.fullmatch(value) is not None
    return isinstance(value, bool | float) or (isinstance(value, int) and len(str(value)) <= _MAX_DIGITS)


def _is_power(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _POWERS
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)


def _is_small(node: ast.AST) -> bool:
    """Whether *node* is a number of at most _MAX_EXPONENT, plain, negated, or in one of sympy's classes."""
    if isinstance(node, ast.UnaryOp):
        return _is_small(node.operand)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("Integer", "Rational") and all(map(_is_small, node.args))
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and node.value <= _MAX_EXPONENT
