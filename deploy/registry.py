"""A schema registry (REST API as Confluent defines it): today's schemas registered, their ids adopted, foreign ids asked for.

Subjects follow the strategy "record name", since one topic may carry two kinds. An installation has a registry from its first record
on, or never: the ids that stand in its topics are either the registry's or those of the static table.

Source: Confluent Schema Registry API reference; tried with Apicurio Registry's compatible API.
"""

import json
from typing import Any
from urllib.parse import quote

import httpx

from schemas.codec import Ids, Kind, Written, parsed, schema_text
from schemas.errors import ContractError, UnavailableError

TIMEOUT_S = 10.0
_JSON = "application/vnd.schemaregistry.v1+json"
NOT_FOUND, CONFLICT = 404, 409
_REMEDY = "see BAROMETER_SCHEMA_REGISTRY_URL; nothing is read or written by ids that are not known"


class Registry:
    """One registry, asked at the start of a process and for ids that it has not met."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        """`url` may hold user and password for basic authentication."""
        self._client = httpx.Client(
            base_url=url.rstrip("/"),
            timeout=TIMEOUT_S,
            transport=transport,
            headers={"Accept": _JSON, "Content-Type": _JSON},
        )

    def register(self, kind: Kind) -> int:
        """Return the id of today's schema of a kind, registering it where it is new.

        Raises ContractError if it is not compatible with what stands there, UnavailableError.
        """
        text = schema_text(kind)
        subject = quote(_full_name(json.loads(text)), safe="")
        answer = self._ask("POST", f"/subjects/{subject}/versions", json={"schema": text, "schemaType": "AVRO"})
        if answer.status_code == CONFLICT:
            raise ContractError(
                "incompatible_schema", f"{kind.name}: the registry refuses today's schema: {_said(answer)}",
                "a field may only be added with a default; anything else is a new topic version",
            )  # fmt: skip
        return int(_good(answer)["id"])

    def meaning(self, number: int) -> Written | None:
        """Return what a record under this id is, None if it is none of ours. Raises UnavailableError."""
        answer = self._ask("GET", f"/schemas/ids/{number}")
        if answer.status_code == NOT_FOUND:
            return None
        text = _good(answer)["schema"]
        kind = _KINDS.get(_full_name(json.loads(text)))
        return None if kind is None else Written(kind, parsed(text))

    def ids(self) -> Ids:
        """Register all schemas of today and return their ids."""
        return Ids({kind: self.register(kind) for kind in Kind}, ask=self.meaning)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **given)
        except httpx.HTTPError as error:
            raise UnavailableError("registry_unavailable", f"{_place(self._client)}: {error}", _REMEDY) from error


def _good(answer: httpx.Response) -> dict[str, Any]:
    if not answer.is_success:
        raise UnavailableError("registry_unavailable", f"HTTP {answer.status_code}: {_said(answer)}", _REMEDY)
    found: dict[str, Any] = answer.json()
    return found


def _said(answer: httpx.Response) -> str:
    return answer.text[:500]


def _place(client: httpx.Client) -> str:
    return str(client.base_url.copy_with(username=None, password=None))


def _full_name(schema: dict[str, Any]) -> str:
    return f"{schema['namespace']}.{schema['name']}" if schema.get("namespace") else str(schema["name"])


_KINDS = {_full_name(json.loads(schema_text(kind))): kind for kind in Kind}
