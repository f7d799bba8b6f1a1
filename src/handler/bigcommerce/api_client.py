"""What BigCommerce's APIs have in common: a token of the store's, and what it means when that is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from handler.bigcommerce.api_answer import FORBIDDEN, UNAUTHORISED
from handler.errors import Cause, Refused, Unauthorised

if TYPE_CHECKING:
    from collections.abc import Callable

    from handler.bigcommerce.credentials import Credentials, StoreSecret
    from handler.deadline import Deadline
    from handler.http.client import HttpClient, Response


class AuthorisedApi:
    """One of the APIs, called with a store's token. A refused token is read afresh and the call made once more."""

    NAME: ClassVar[str]
    """For messages."""
    SCOPE: ClassVar[str] = ""
    """What the token needs, for the message when it was refused."""

    def __init__(self, base_url: str, http: HttpClient, credentials: Credentials) -> None:
        self._base_url = base_url
        self._http = http
        self._credentials = credentials

    def _headers(self, _store_hash: str, secret: StoreSecret) -> dict[str, str]:
        return {"X-Auth-Token": secret.access_token, "Accept": "application/json"}

    def _authorised(
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
        """What `read` makes of the answer, whatever its status but 401 and 403.

        `read` raises RetryLater for an answer that is worth another attempt. `endpoint` is the name of what is called,
        for the log. Raises Unauthorised and what `HttpClient.call` raises.
        """

        def call(secret: StoreSecret) -> Response:
            headers = self._headers(store_hash, secret)
            answer = self._http.call(
                method,
                self._base_url + path,
                headers,
                deadline,
                body=body,
                # An error may repeat what it was asked with, and its words go into logs and dead letters.
                read=lambda response: read(response.without(secret.tokens)),
                before_repeat=before_repeat,
                endpoint=endpoint,
            )
            if answer.status in {UNAUTHORISED, FORBIDDEN}:
                raise Unauthorised(self._unauthorised(answer))
            return answer

        return self._credentials.authorised(store_hash, call)

    def _permitted(self, answer: Response) -> Response:
        """The answer. A 403 is Refused: the token lacks the scope, and the call is not made again."""
        if answer.status == FORBIDDEN:
            raise Refused(Cause.UNAUTHORISED, self._unauthorised(answer))
        return answer

    def _unauthorised(self, answer: Response) -> str:
        return f"{self.NAME}: HTTP {answer.status}" + (f" (scope {self.SCOPE})" if self.SCOPE else "")
