"""The base of the API clients: calls with the store's token, and what happens when the token is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from handler.bigcommerce.api_answer import FORBIDDEN, UNAUTHORISED
from handler.errors import Unauthorized

if TYPE_CHECKING:
    from collections.abc import Callable

    from handler.bigcommerce.credentials import Credentials, StoreSecret
    from handler.deadline import Deadline
    from handler.http.client import HttpClient, Response


class AuthorizedApi:
    """An API that is called with a store's token. When the token is refused, the secret is read again and the call repeated once."""

    NAME: ClassVar[str]
    """The API's name in messages."""
    SCOPE: ClassVar[str] = ""
    """The scope that the token needs, for the message when it is refused."""

    def __init__(self, base_url: str, http: HttpClient, credentials: Credentials) -> None:
        self._base_url = base_url
        self._http = http
        self._credentials = credentials

    def _headers(self, _store_hash: str, secret: StoreSecret) -> dict[str, str]:
        return {"X-Auth-Token": secret.access_token, "Accept": "application/json"}

    def _authorized(
        self,
        method: str,
        store_hash: str,
        path: str,
        deadline: Deadline,
        *,
        read: Callable[[Response], Response],
        body: Any = None,
        before_repeat: Callable[[], None] | None = None,
        endpoint: str = "",
    ) -> Response:
        """The answer, as `read` returns it, with any status but 401 and 403.

        `read` raises RetryLater for an answer to retry. `endpoint` is the name of the call in logs. Raises Unauthorized,
        and what `HttpClient.call` raises.
        """

        def call(secret: StoreSecret) -> Response:
            headers = self._headers(store_hash, secret)
            answer = self._http.call(
                method,
                self._base_url + path,
                headers,
                deadline,
                body=body,
                # An error message may repeat the token, and it goes into logs and dead letters.
                read=lambda response: read(response.without(secret.tokens)),
                before_repeat=before_repeat,
                endpoint=endpoint,
            )
            if answer.status in {UNAUTHORISED, FORBIDDEN}:
                needed = f" (scope {self.SCOPE})" if self.SCOPE else ""
                raise Unauthorized(f"{self.NAME}: HTTP {answer.status}{needed}")
            return answer

        return self._credentials.authorized(store_hash, call)
