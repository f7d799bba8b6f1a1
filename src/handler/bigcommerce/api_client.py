"""The base of the API clients: calls with the store's token, and what happens when the token is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from handler.bigcommerce.api_answer import FORBIDDEN, SUCCESS, UNAUTHORISED, message_of
from handler.errors import Cause, Refused, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Callable

    from handler.bigcommerce.credentials import Credentials, StoreSecret
    from handler.deadline import Deadline
    from handler.http.exchange import Response
    from handler.http.retries import HttpClient


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
                raise Unauthorized(self._unauthorized(answer))
            return answer

        return self._credentials.authorized(store_hash, call)

    def _permitted(self, answer: Response) -> Response:
        """The answer. A 403 is Refused: the token lacks the scope, and the call is not made again."""
        if answer.status == FORBIDDEN:
            raise Refused(Cause.UNAUTHORISED, self._unauthorized(answer))
        return answer

    def _unauthorized(self, answer: Response) -> str:
        return f"{self.NAME}: HTTP {answer.status}" + (f" (scope {self.SCOPE})" if self.SCOPE else "")

    def _successful(self, answer: Response) -> Response:
        """Returns the answer. Raises Refused, with the API's message, for an error status."""
        if answer.status not in SUCCESS:
            raise Refused(Cause.API_REFUSED, f"{self.NAME}: HTTP {answer.status}: {message_of(answer) or 'no message'}")
        return answer
