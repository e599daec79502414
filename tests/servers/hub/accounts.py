"""Accounts: who calls, and what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from servers.hub import refusal
from servers.hub.history import Repo
from servers.hub.refusal import Refusal


@dataclass(frozen=True)
class Account:
    """A user with one token."""

    name: str
    token: str
    role: str = "write"
    """What the token may do: ``write`` or ``read``."""
    organisations: Mapping[str, str] = field(default_factory=dict)
    """Role in each organisation: ``admin``, ``write``, ``contributor`` or ``read``."""

    def writes_to(self, namespace: str) -> bool:
        """Whether the user, with a token that writes, may write to a namespace."""
        return namespace == self.name or self.organisations.get(namespace) in ("admin", "write")

    def reads(self, namespace: str) -> bool:
        """Whether the user sees the private repositories of a namespace."""
        return namespace == self.name or namespace in self.organisations

    def card(self) -> dict[str, object]:
        """What ``whoami`` says."""
        token = {"displayName": "test", "role": self.role, "createdAt": "2026-01-01T00:00:00.000Z"}
        return {
            "type": "user",
            "id": "0" * 24,
            "name": self.name,
            "fullname": self.name,
            "isPro": False,
            "canPay": False,
            "orgs": [
                {"type": "org", "id": "1" * 24, "name": name, "fullname": name, "roleInOrg": role}
                for name, role in self.organisations.items()
            ],
            "auth": {"type": "access_token", "accessToken": token},
        }


class Accounts:
    """All accounts, by token."""

    def __init__(self) -> None:
        self._by_token: dict[str, Account] = {}

    def add(self, account: Account) -> Account:
        """Makes an account known."""
        self._by_token[account.token] = account
        return account

    def caller(self, authorization: str | None) -> Account | None:
        """Who sends this header; None without one.

        Raises:
            Refusal: 401 for a token that nobody has.
        """
        if authorization is None:
            return None
        account = self._by_token.get(authorization.removeprefix("Bearer "))
        if account is None:
            raise refusal.no_credentials()
        return account


def check_sees(caller: Account | None, repo: Repo | None) -> Repo:
    """The repository, if the caller may know of it.

    Raises:
        Refusal: as the real Hub, which says no more of a private repository than of none.
    """
    if repo is None or (repo.private and not (caller and caller.reads(repo.namespace))):
        raise refusal.no_repo(known_user=caller is not None)
    return repo


def check_reads(caller: Account | None, repo: Repo) -> None:
    """Whether the caller may have the files.

    Raises:
        Refusal: for a gated repository.
    """
    if repo.gated and not (
        caller and (caller.reads(repo.namespace) or caller.name in repo.admitted)
    ):
        raise refusal.gated(repo.name, known_user=caller is not None)


def check_writes(caller: Account | None, namespace: str) -> Account:
    """The caller, if they may write to a namespace.

    Raises:
        Refusal: 401 without a token, 403 with a token that only reads or in a foreign namespace.
    """
    if caller is None:
        raise Refusal(401, "Invalid username or password.")
    if caller.role != "write":
        raise refusal.read_only()
    if not caller.writes_to(namespace):
        message = f"You don't have the rights to write under the namespace {namespace!r}"
        raise Refusal(403, message)
    return caller
