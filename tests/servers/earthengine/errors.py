"""What the service answers when it refuses: an HTTP status and Google's JSON envelope."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """An answer other than 200.

    Args:
        status: HTTP status.
        message: the server's words.
        headers: added to the answer.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}

    def body(self) -> dict[str, object]:
        """The JSON of the answer."""
        names = {
            400: "INVALID_ARGUMENT",
            401: "UNAUTHENTICATED",
            403: "PERMISSION_DENIED",
            404: "NOT_FOUND",
            429: "RESOURCE_EXHAUSTED",
            503: "UNAVAILABLE",
        }
        status = names.get(self.status, "INTERNAL")
        return {"error": {"code": self.status, "message": self.message, "status": status}}


def only(value: Any, *known: Any) -> None:
    """Refuse an argument whose value would be ignored."""
    if not any(value == accepted for accepted in known):
        raise Refusal(400, f"Not implemented here: an argument of {value!r}.")
