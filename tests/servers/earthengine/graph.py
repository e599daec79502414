"""The expression graph of a request and its evaluation.

https://developers.google.com/earth-engine/reference/rest/v1/Expression
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from servers.earthengine.errors import Refusal

Function = Callable[..., Any]

_KINDS = {
    "constantValue",
    "integerValue",
    "arrayValue",
    "dictionaryValue",
    "functionDefinitionValue",
    "functionInvocationValue",
    "argumentReference",
    "valueReference",
}


@lru_cache(maxsize=1024)
def _signature(operation: Function) -> inspect.Signature:
    return inspect.signature(operation)


class Graph:
    """One expression; each of its values is computed once.

    Args:
        expression: the ``expression`` of a request.
        operations: what each function name does, called with its named arguments.

    Raises:
        Refusal: 400 for anything that is not understood, naming it.
    """

    def __init__(self, expression: Any, operations: Mapping[str, Function]) -> None:
        if not isinstance(expression, dict) or set(expression) != {"result", "values"}:
            raise Refusal(400, "Invalid JSON payload: an expression has `result` and `values`.")
        self._result = expression["result"]
        self._values = expression["values"]
        self._operations = operations
        self._known: dict[str, Any] = {}
        self._free: dict[str, frozenset[str]] = {}

    def value(self) -> Any:
        """What the expression stands for."""
        return self._reference(self._result, {})

    def _reference(self, name: str, arguments: dict[str, Any]) -> Any:
        if name not in self._values:
            raise Refusal(400, f"Value reference '{name}' does not exist.")
        if self._free_arguments(name):
            return self._node(self._values[name], arguments)
        if name not in self._known:
            self._known[name] = self._node(self._values[name], {})
        return self._known[name]

    def _node(self, node: dict[str, Any], arguments: dict[str, Any]) -> Any:
        if len(node) != 1 or not set(node) <= _KINDS:
            raise Refusal(400, f"Not implemented here: a value of kind {sorted(node)}.")
        [(kind, content)] = node.items()
        match kind:
            case "constantValue":
                value = content
            case "integerValue":
                value = int(content)
            case "arrayValue":
                value = [self._node(part, arguments) for part in content["values"]]
            case "dictionaryValue":
                value = {k: self._node(part, arguments) for k, part in content["values"].items()}
            case "argumentReference":
                value = arguments[content]
            case "valueReference":
                value = self._reference(content, arguments)
            case "functionDefinitionValue":
                value = self._definition(content, arguments)
            case _:
                value = self._invocation(content, arguments)
        return value

    def _definition(self, content: dict[str, Any], outer: dict[str, Any]) -> Function:
        names, body = content["argumentNames"], content["body"]

        def call(*values: Any) -> Any:
            bound = dict(zip(names, values, strict=True))
            return self._reference(body, {**outer, **bound})

        return call

    def _invocation(self, content: dict[str, Any], arguments: dict[str, Any]) -> Any:
        if "functionReference" in content:
            raise Refusal(400, "Not implemented here: a function reference.")
        name = content["functionName"]
        operation = self._operations.get(name)
        if operation is None:
            raise Refusal(400, f"Not implemented here: the operation {name}.")
        given = {k: self._node(part, arguments) for k, part in content["arguments"].items()}
        try:
            _signature(operation).bind(**given)
        except TypeError as error:
            raise Refusal(
                400, f"Not implemented here: {name} with these arguments: {error}."
            ) from error
        return operation(**given)

    def _free_arguments(self, name: str) -> frozenset[str]:
        """Arguments that a value needs from the function it stands in."""
        if name not in self._free:
            self._free[name] = frozenset(self._free_of(self._values[name]))
        return self._free[name]

    def _free_of(self, node: Any) -> set[str]:
        found: set[str] = set()
        if isinstance(node, list):
            for part in node:
                found |= self._free_of(part)
        elif isinstance(node, dict):
            for key, part in node.items():
                if key == "constantValue":
                    continue
                if key == "argumentReference":
                    found.add(part)
                elif key in ("valueReference", "functionReference"):
                    found |= self._free_arguments(part)
                elif key == "functionDefinitionValue":
                    found |= self._free_arguments(part["body"]) - set(part["argumentNames"])
                else:
                    found |= self._free_of(part)
        return found
