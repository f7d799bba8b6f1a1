"""What the relay does against loss, double work and delay: each defence, how to switch it off, and who notices.

When code moves, mend `old` here: tests/unit/test_defences.py says which one is no longer there, or not only once.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Defence:
    """`old`, which stands in `file` exactly once, becomes `new`; then `scenario` must not come out as promised."""

    name: str
    file: str
    old: str
    new: str
    scenario: str


CREATE = "src/handler/create.py"
CREDENTIALS = "src/handler/bigcommerce/credentials.py"
LIMITED_HTTP = "src/handler/http/total_timeout.py"
ONCE = "src/handler/table/idempotency.py"
RECORD = "src/handler/record.py"
RECOVER = "src/handler/recover.py"
TRANSPORT = "src/handler/http/client.py"

DEFENCES = (
    Defence(
        "another attempt inside the window",
        TRANSPORT,
        "LIVE = RetryPolicy(attempt_seconds=3.0, tries_again=True)",
        "LIVE = RetryPolicy(attempt_seconds=3.0, tries_again=False)",
        "b2b.create: 503",
    ),
    Defence(
        "attempts short enough for another",
        TRANSPORT,
        "LIVE = RetryPolicy(attempt_seconds=3.0",
        "LIVE = RetryPolicy(attempt_seconds=9.0",
        "b2b.create: hang",
    ),
    Defence(
        "one time limit for the whole exchange",
        LIMITED_HTTP,
        "left = self._ends_at - time.monotonic()",
        "left = 3.0",
        "core.get_order: drip in the headers",
    ),
    Defence(
        "connections that were idle for long are not used again",
        LIMITED_HTTP,
        "LONGEST_IDLE_SECONDS = 5.0",
        "LONGEST_IDLE_SECONDS = 500.0",
        "a connection that was idle for long is not trusted",
    ),
    Defence(
        "a rate limit's end is waited for",
        TRANSPORT,
        "        return reset_seconds + self._uniform",
        "        return self._uniform",
        "b2b.create: 429 until four seconds later",
    ),
    Defence(
        "a 404 of the look-up is asked again",
        "src/handler/bigcommerce/store_api.py",
        "if answer.status == NOT_FOUND:",
        "if False:",
        "order not readable at first",
    ),
    Defence(
        "a record that is there already is updated",
        CREATE,
        "is the limit.\n            return align_record(self.b2b_api, wanted, invocation)",
        "is the limit.\n            raise",
        "record already there, the API replaces, data is an array",
    ),
    Defence(
        "the buyer's own fields are sent along",
        RECORD,
        "[*kept, *new_fields.items()]",
        "[*new_fields.items()]",
        "record already there, the API replaces, data is an array",
    ),
    Defence(
        "the record is read before anything is sent",
        RECORD,
        "present = b2b_api.get_record(wanted.event.store_hash, wanted.event.order_id, deadline)",
        "present = type(wanted.content)()",
        "late, and already as it should be",
    ),
    Defence(
        "a customer without a company is found out by asking",
        RECORD,
        "if not b2b_api.has_company_user(",
        "if False and not b2b_api.has_company_user(",
        "customer without a company",
    ),
    Defence(
        "a 2xx that is not the API's is not believed",
        "src/handler/bigcommerce/api_answer.py",
        'if not isinstance(whole, dict) or not whole.keys() & {"code", "data"}:',
        "if False:",
        "b2b.create: garbage",
    ),
    Defence(
        "without DynamoDB the work is done all the same",
        ONCE,
        "            if not attempt.began:\n                self._work_without_claim(key, attempt)",
        "            raise",
        "dynamodb.PutItem answers InternalServerError",
    ),
    Defence(
        "an order is worked on once",
        ONCE,
        "self._run(key=key, attempt=attempt)",
        "attempt()",
        "the bus delivers an event twice, and once more",
    ),
    Defence(
        "a failure is forgotten",
        ONCE,
        "            self._error = error\n            raise",
        "            self._error = error",
        "refused for good, then redriven",
    ),
    Defence(
        "an unfinished claim on an order ends with its invocation",
        ONCE,
        "self._config.register_lambda_context(context)",
        "self._config.lambda_context = None",
        "OrderFunction is killed in the middle of Create Order, before its effect",
    ),
    Defence(
        "Lambda hands over what a failed function leaves",
        "template.yaml",
        "OnFailure:",
        "OnSuccess:",
        "SQS refuses as often as it is asked, so the function fails",
    ),
    Defence(
        "what the bus refuses is handed over",
        "src/handler/intake.py",
        "        if refused:",
        "        if False:",
        "the bus refuses the entry",
    ),
    Defence(
        "a refused token is read afresh, live",
        CREDENTIALS,
        "return call(self.refreshed(store_hash))",
        "raise",
        "token changed: the next order is still in time",
    ),
    Defence(
        "a refused token is read afresh, late",
        CREDENTIALS,
        "return call(self.refreshed(store_hash))",
        "raise",
        "token revoked, then mended",
    ),
    Defence(
        "the previous signing secret still proves",
        CREDENTIALS,
        "if previous is not None and previous != current:",
        "if False:",
        "signing secret rotated",
    ),
    Defence(
        "forgeries of a known store cost few reads",
        CREDENTIALS,
        "REFRESH_SECONDS = 10.0",
        "REFRESH_SECONDS = 0.0",
        "a flood of forgeries: of a store that is known",
    ),
    Defence(
        "forgeries of an unknown store cost few reads",
        CREDENTIALS,
        "UNKNOWN_KEPT_SECONDS = 60.0",
        "UNKNOWN_KEPT_SECONDS = 0.0",
        "a flood of forgeries: of a store that is not",
    ),
    Defence(
        "a store that was unknown is looked for again",
        CREDENTIALS,
        "UNKNOWN_KEPT_SECONDS = 60.0",
        "UNKNOWN_KEPT_SECONDS = 6000.0",
        "the secret comes after the first webhook",
    ),
    Defence(
        "what failed stays in the queue, message by message",
        RECOVER,
        'return {"batchItemFailures": staying}',
        'return {"batchItemFailures": []}',
        "one poisoned message among nine good ones",
    ),
    Defence(
        "a record that never appears is created",
        RECOVER,
        "CREATE_AFTER_TRIES = 4",
        "CREATE_AFTER_TRIES = 4000",
        "the record of an API-made order never appears",
    ),
    Defence(
        "delays grow",
        "src/handler/backoff.py",
        "DELAY_GROWTH = 3",
        "DELAY_GROWTH = 1",
        "B2B API down for 30 s",
    ),
    Defence(
        "a dead letter that DeadLetterQueue refuses stays where it is",
        RECOVER,
        'logger.warning("DeadLetterQueue refused a message; it stays in RecoveryQueue", error=error_code(error))',
        "return True",
        "DeadLetterQueue refuses",
    ),
    Defence(
        "the late path leaves the live orders their share",
        "src/handler/table/rate_limit.py",
        "        now = self._clock()\n        held_seconds",
        "        return\n        now = self._clock()\n        held_seconds",
        "a hundred late orders leave the live ones their share",
    ),
    Defence(
        "a store in trouble does not hold up the others",
        RECOVER,
        "if event.store_hash in troubled:",
        "if False:",
        "sixty late orders of a store that hangs, one of another",
    ),
)
