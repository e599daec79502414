"""What the service answers when it refuses: an HTTP status and Google's JSON envelope."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure of the service
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
