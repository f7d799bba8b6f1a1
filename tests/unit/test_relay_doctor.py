"""Each check of `relay doctor` about the deployment, the orders that wait and the alarms: well, wrong, or not known."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError

from handler.bigcommerce.credentials import StoreSecret
from handler.container import Container
from handler.enrichment import Rules
from handler.errors import Cause, Refused, RetryLater
from relay import function_checks
from relay.checks import Finding, State, Who, check_b2b, check_core, check_users, clock_finding, follows, guarded
from relay.context import Context
from relay.deployment_checks import (
    check_concurrency,
    check_endpoint,
    check_secret_prefix,
    check_sqs_trigger,
    check_stack,
)
from relay.errors import CliError
from relay.hook_checks import check_hook
from relay.order_checks import check_alarm_recipients, check_alarms, check_dead, check_late, root_causes
from relay.stack import FUNCTIONS, Stack
from relay.store_checks import check_store
from support.account import ALARM, FakeCloudFormation, FakeFunctions, Pages, aws_error, other_stack, packed
from support.clock import FakeClock, middle
from support.dead_letters import letter
from support.exchange import FakeExchange, answer, unreachable
from support.relay import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


API, CODE = "https://api.example.com", "https://code.example.com/code"
LATE_QUEUE, DEAD_QUEUE = "https://sqs/recovery", "https://sqs/dead-letters"
RULES = "[all]\npo_number = 'customer_message'\n"
CORE, B2B = "/stores/abc123/v2/orders", "/api/v3/io/orders"
USER = "/api/v3/io/users/customer/1"


class Account:
    """An account in which all is well, and the context of a command that looks at it. Queue depths are in `depths`, ages in `ages`."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.exchange = FakeExchange(self.clock)
        self.stack = Stack(
            "b2b-order-relay",
            "CREATE_COMPLETE",
            PARAMETERS | {"StoreApiUrl": API, "B2BApiUrl": API, "Architecture": "arm64"},
            {
                "WebhookUrl": "https://relay.example.com/webhooks",
                "EventBusName": "orders",
                "RecoveryQueueUrl": LATE_QUEUE,
                "DeadLetterQueueUrl": DEAD_QUEUE,
                "IdempotencyTableName": "table",
            }
            | {f"{function}Name": f"relay-{function}" for function in FUNCTIONS},
        )
        self.functions = FakeFunctions(self.stack, CODE)
        self.cloudformation = FakeCloudFormation()
        self.subscriptions: list[dict[str, str]] = [{"SubscriptionArn": "arn:aws:sns:1", "Endpoint": "a@example.com"}]
        self.alarms: list[dict[str, Any]] = [self.alarm("OK")]
        self.depths: defaultdict[str, int] = defaultdict(int)
        self.ages: dict[str, float] = {}
        self.letters: list[str] = []
        self.released: list[str] = []
        self.key = ""
        self.secret: dict[str, Any] = {"access_token": "token", "client_secret": "s"}
        clients: dict[str, Any] = {
            "dynamodb": SimpleNamespace(),
            "logs": Pages(filter_log_events=[{"events": []}]),
            "lambda": self.functions,
            "cloudformation": self.cloudformation,
            "sns": Pages(list_subscriptions_by_topic=[{"Subscriptions": self.subscriptions}]),
            "cloudwatch": SimpleNamespace(
                describe_alarms=lambda **_: {"MetricAlarms": self.alarms}, get_metric_statistics=self.statistics
            ),
            "sqs": SimpleNamespace(
                get_queue_attributes=self.attributes,
                receive_message=self.receive,
                change_message_visibility_batch=self.release,
            ),
            "secretsmanager": SimpleNamespace(
                describe_secret=lambda **_: {"KmsKeyId": self.key} if self.key else {},
                get_secret_value=lambda **_: {"SecretString": json.dumps(self.secret)},
                exceptions=SimpleNamespace(ResourceNotFoundException=KeyError, InvalidRequestException=KeyError),
            ),
        }
        clients["logs"].exceptions = SimpleNamespace(ResourceNotFoundException=KeyError)
        session = SimpleNamespace(client=lambda service, **_: clients[service])
        self.context = Context(cast("Any", session), self.stack.name, False, self.clock, self.clock.sleep)
        relay = Container(
            self.stack.settings,
            client=lambda service, _config: clients[service],
            exchange=self.exchange,
            rules=lambda: Rules.parse(""),
            clock=self.clock,
            sleep=self.clock.sleep,
            uniform=middle,
        )
        relay.__dict__["stores"] = SimpleNamespace(all=lambda: ["abc123"], hook_is_paused=lambda _: False)
        self.context.__dict__.update({"stack": self.stack, "relay": relay})

    def alarm(self, state: str, name: str = ALARM, minutes: int = 5) -> dict[str, Any]:
        since = datetime.fromtimestamp(self.clock(), UTC) - timedelta(minutes=minutes)
        return {"AlarmName": name, "StateValue": state, "StateUpdatedTimestamp": since, "AlarmDescription": "Look."}

    def statistics(self, *, MetricName: str, Dimensions: list[dict[str, str]], **_: Any) -> dict[str, Any]:  # noqa: N803  boto3's names
        name = MetricName if MetricName == "LateOrderAge" else Dimensions[0]["Value"]
        points = [{"Timestamp": 1, "Maximum": self.ages[name]}] if name in self.ages else []
        return {"Datapoints": points}

    def attributes(self, *, QueueUrl: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        return {"Attributes": {"ApproximateNumberOfMessages": str(self.depths[QueueUrl])}}

    def receive(self, **_: Any) -> dict[str, Any]:
        messages = [
            {"MessageId": body, "ReceiptHandle": str(place), "Body": body, "Attributes": {"SentTimestamp": "1"}}
            for place, body in enumerate(self.letters)
        ]
        return {"Messages": messages}

    def release(self, *, Entries: list[dict[str, Any]], **_: Any) -> None:  # noqa: N803
        assert {entry["VisibilityTimeout"] for entry in Entries} == {0}
        self.released += [entry["ReceiptHandle"] for entry in Entries]


@pytest.fixture
def account() -> Account:
    return Account()


def token(account: Account) -> StoreSecret:
    return StoreSecret.parse(json.dumps(account.secret))


# --- stack, webhook URL, concurrency, trigger, secrets -------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state", "who"),
    [
        ("UPDATE_COMPLETE", State.GOOD, Who.YOU),
        ("UPDATE_IN_PROGRESS", State.UNKNOWN, Who.NOBODY),
        ("UPDATE_ROLLBACK_COMPLETE", State.BAD, Who.YOU),
    ],
)
def test_a_stack_is_well_when_its_last_deployment_went_well(
    account: Account, status: str, state: State, who: Who
) -> None:
    account.context.__dict__["stack"] = Stack("relay", status, {}, {})

    finding = check_stack(account.context)

    assert (finding.state, finding.who) == (state, who)


def test_a_webhook_url_is_well_only_where_the_relay_answers(account: Account) -> None:
    url = account.stack.destination
    account.exchange.on("POST", "/webhooks", answer(400), answer(200))

    assert check_endpoint(account.context, url).state is State.GOOD
    assert "answers HTTP 200" in check_endpoint(account.context, url).what
    account.exchange.always("POST", "/webhooks", unreachable())
    assert "does not answer" in check_endpoint(account.context, url).what


@pytest.mark.parametrize(
    ("limit", "state"), [(7, State.BAD), (8, State.UNKNOWN), (10, State.UNKNOWN), (25, State.UNKNOWN), (26, State.GOOD)]
)
def test_an_accounts_concurrency_is_compared_with_what_the_relay_may_need(
    account: Account, limit: int, state: State
) -> None:
    account.functions.limit = limit

    finding = check_concurrency(account.context, 5)

    assert finding.state is state
    assert f"{limit} concurrent executions" in finding.what
    if state is not State.GOOD:
        assert "--quota-code L-B99A9384 --desired-value 1000 --region us-east-1" in finding.fix


def test_the_late_trigger_is_well_when_it_is_enabled_and_tells_its_limit(account: Account) -> None:
    at_once: list[int] = []

    assert check_sqs_trigger(account.context, at_once).state is State.GOOD
    assert at_once == [5]
    account.functions.mapping["State"] = "Disabled"
    assert "its SQS trigger is Disabled" in check_sqs_trigger(account.context, []).what
    account.functions.mapping["EventSourceArn"] = "arn:aws:sqs:us-east-1:123456789012:another"
    assert "its SQS trigger is missing" in check_sqs_trigger(account.context, []).what


@pytest.mark.parametrize(
    ("name", "parameters", "state"),
    [
        ("b2b-order-relay", {"SecretPrefix": "relay"}, State.GOOD),  # itself
        ("other", {"SecretPrefix": "other"}, State.GOOD),
        ("relay-prod", {"SecretPrefix": ""}, State.GOOD),
        ("other", {"SecretPrefix": "relay"}, State.BAD),
        ("other", {"SecretPrefix": "relay/dev"}, State.BAD),
        ("relay", {}, State.BAD),  # without a prefix it is the stack's name
    ],
)
def test_another_stack_with_the_same_secrets_is_wrong(
    account: Account, name: str, parameters: dict[str, str], state: State
) -> None:
    unrelated = {"StackName": "unrelated", "Parameters": [{"ParameterKey": "SecretPrefix", "ParameterValue": "relay"}]}
    account.cloudformation.pages["describe_stacks"] = [{"Stacks": [unrelated, other_stack(name, **parameters)]}]

    finding = check_secret_prefix(account.context)

    assert finding.state is state
    assert ("uses the same secrets" in finding.what) is (state is State.BAD)


# --- what is deployed ----------------------------------------------------------------------------------------------


def live(account: Account) -> dict[str, Any]:
    found: dict[str, Any] = {}
    assert list(function_checks.read_functions(account.context, found)) == []
    return found


def test_settings_are_those_that_the_functions_run_with(account: Account) -> None:
    assert function_checks.check_settings(account.context, live(account)).state is State.GOOD

    environment = account.functions.configurations["relay-RecoveryFunction"]["Environment"]["Variables"]
    environment["LATE_REQUESTS_PER_MINUTE"] = "150"
    finding = function_checks.check_settings(account.context, live(account))
    assert (finding.state, finding.fix) == (State.BAD, "deploy again: make deploy")
    assert "RecoveryFunction: LATE_REQUESTS_PER_MINUTE" in finding.what

    del environment["SECRET_PREFIX"]
    assert "SECRET_PREFIX is not set" in function_checks.check_settings(account.context, live(account)).what


def test_the_architecture_of_functions_and_layer_must_fit(account: Account) -> None:
    assert function_checks.check_architecture(account.context, live(account)).state is State.GOOD

    account.functions.layer_architectures = []
    assert function_checks.check_architecture(account.context, live(account)).state is State.UNKNOWN
    account.functions.layer_architectures = ["x86_64"]
    assert "its layer is for x86_64" in function_checks.check_architecture(account.context, live(account)).what
    account.stack.parameters["Architecture"] = "x86_64"
    assert "the stack's parameter is x86_64" in function_checks.check_architecture(account.context, live(account)).what


def read(account: Account) -> list[str]:
    text: list[str] = []
    assert list(function_checks.read_rules(account.context, live(account), text)) == []
    return text


def test_the_deployed_rules_are_read_from_the_functions_code(account: Account) -> None:
    account.exchange.on("GET", "/code", answer(200, packed(RULES)))

    assert read(account) == [RULES]


@pytest.mark.parametrize(
    "given", [answer(403), answer(200, b"no zip"), answer(200, packed("").replace(b"toml", b"none"))]
)
def test_deployed_code_that_cannot_be_read_is_an_error(account: Account, given: Any) -> None:
    account.exchange.on("GET", "/code", given)

    with pytest.raises(CliError, match="deployed code"):
        read(account)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = tmp_path / "enrichment.toml"
    here.write_text(RULES, encoding="utf-8")
    monkeypatch.setattr(function_checks, "RULES_FILE", here)
    return here


@pytest.mark.parametrize(
    ("here", "there", "states", "tried"),
    [
        (RULES, RULES, [State.GOOD], "there"),
        (RULES, f"# a comment\n{RULES}", [State.GOOD], "there"),
        (RULES, "[all]\n", [State.BAD], "there"),
        (RULES, None, [State.UNKNOWN], "here"),
        (RULES, "[al", [State.BAD], None),
        ("[al", RULES, [State.BAD], "there"),
        ("[al", None, [State.BAD], None),
    ],
)
def test_the_deployed_rules_are_compared_with_the_folders_and_are_the_ones_to_try(
    folder: Path, here: str, there: str | None, states: list[State], tried: str | None
) -> None:
    folder.write_text(here, encoding="utf-8")
    chosen: list[Rules] = []

    found = list(function_checks.check_rules([] if there is None else [there], chosen, "functions"))

    assert [finding.state for finding in found] == states
    rules = {"here": here, "there": there, None: None}[tried]
    assert bool(chosen) is (rules is not None)
    if rules is not None:
        assert (chosen[0].for_all.po_number is None) is (Rules.parse(rules).for_all.po_number is None)
    if there is None and found[0].state is State.UNKNOWN:
        assert found[0].because == "functions"


# --- orders that wait ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waiting", "age", "found_before", "state", "who", "words"),
    [
        (0, None, {}, State.GOOD, Who.YOU, "none"),
        (1, None, {}, State.UNKNOWN, Who.NOBODY, "1 order in the recovery queue; their ages are not known yet; each is given up 24 h"),
        (2, 60.0, {}, State.UNKNOWN, Who.NOBODY, "2 orders in the recovery queue; the oldest for 60 s, given up in 24 h"),
        (2, 7200.0, {}, State.BAD, Who.YOU, "the oldest for 2 h, given up in 22 h"),
        (2, 7200.0, {"outage": "Store abc123: B2B API"}, State.UNKNOWN, Who.NOBODY, "the oldest for 2 h"),
    ],
)  # fmt: skip
def test_late_orders_are_told_with_their_age_and_their_end(
    account: Account,
    waiting: int,
    age: float | None,
    found_before: dict[str, str],
    state: State,
    who: Who,
    words: str,
) -> None:
    account.depths[LATE_QUEUE] = waiting
    account.ages |= {"LateOrderAge": age} if age is not None else {}

    finding = check_late(account.context, found_before)

    assert (finding.state, finding.who) == (state, who)
    assert words in finding.what
    assert ("relay late list" in finding.fix) is (waiting > 0)
    assert finding.because == found_before.get("outage", "")


def test_the_age_of_late_orders_that_were_hardly_tried_is_the_queues(account: Account) -> None:
    account.depths[LATE_QUEUE] = 1
    account.ages["recovery"] = 2400.0

    assert "the oldest for 40 m" in check_late(account.context, {}).what


def test_dead_letters_are_told_with_the_apis_words_and_seen_by_others_at_once(account: Account) -> None:
    account.depths[DEAD_QUEUE] = 12
    account.ages["dead-letters"] = 7200.0
    account.letters = [letter(1), letter(2), "{}"]

    finding = check_dead(account.context, {"token": "Store abc123: core API"})

    assert (finding.state, finding.because) == (State.BAD, "")  # the unreadable one does not follow from the token
    assert "12 orders need an operator, the oldest for 2 h; causes of 3 of them: " in finding.what
    assert "2 x unauthorized: HTTP 401; 1 x unreadable" in finding.what
    assert "relay failed list" in finding.fix
    assert account.released == ["0", "1", "2"]


def test_no_dead_letter_is_well_and_one_that_others_hold_is_told_without_its_words(account: Account) -> None:
    assert check_dead(account.context, {}).state is State.GOOD
    account.depths[DEAD_QUEUE] = 1
    assert check_dead(account.context, {}).what == "1 order needs an operator"


def test_dead_letters_of_one_cause_follow_from_it(account: Account) -> None:
    account.depths[DEAD_QUEUE] = 1
    account.letters = [letter(1, cause=Cause.SECRET_UNAVAILABLE)]

    assert check_dead(account.context, {"secret": "Store abc123: secret"}).because == "Store abc123: secret"
    assert not check_dead(account.context, {"token": "Store abc123: core API"}).because


def test_what_was_found_wrong_is_a_root_by_its_topic_and_what_follows_is_none() -> None:
    found = {
        "Deployment": [Finding("rules", State.BAD, "")],
        "Store a": [
            Finding("core API", State.BAD, ""),
            Finding("B2B API", State.BAD, "", who=Who.BIGCOMMERCE),
            Finding("webhook", State.UNKNOWN, ""),
            Finding("secret", State.BAD, "", because="x"),
        ],
        "Store b": [Finding("core API", State.BAD, ""), Finding("clock", State.BAD, "")],
    }

    assert root_causes(found) == {
        "rules": "Deployment: rules",
        "token": "Store a: core API",
        "outage": "Store a: B2B API",
    }


# --- alarms --------------------------------------------------------------------------------------------------------


def alarm_findings(account: Account, known_before: dict[str, str] | None = None, *orders: Finding) -> list[Finding]:
    return list(check_alarms(account.context, known_before or {}, orders))


def test_alarms_that_are_quiet_are_well_and_those_without_data_are_not_known(account: Account) -> None:
    assert [finding.state for finding in alarm_findings(account)] == [State.GOOD]
    account.alarms.append(account.alarm("INSUFFICIENT_DATA"))
    [finding] = alarm_findings(account)
    assert (finding.state, finding.who) == (State.UNKNOWN, Who.NOBODY)
    assert "1 of 2 alarms have no data yet" in finding.what


def test_ringing_alarms_are_wrong_each_with_its_cause_when_that_was_found(account: Account) -> None:
    names = ("unauthorized", "dead-letters", "order-function-fails")
    account.alarms[:] = [account.alarm("ALARM", f"{account.stack.name}-{name}") for name in names]

    found = alarm_findings(account, {"token": "Store a: core API"}, Finding("dead letters", State.BAD, ""))

    assert [finding.because for finding in found] == ["Store a: core API", "dead letters", ""]
    assert {finding.state for finding in found} == {State.BAD}
    assert "has been in ALARM for 5 m" in found[0].what
    assert found[0].fix == "Look."


def test_a_stack_without_alarms_is_wrong(account: Account) -> None:
    account.cloudformation.pages["list_stack_resources"] = []

    assert [finding.state for finding in alarm_findings(account)] == [State.BAD]
    assert "no topic" in check_alarm_recipients(account.context).what


@pytest.mark.parametrize(
    ("email", "subscriptions", "state", "words"),
    [
        ("", [("arn:aws:sns:1", "a@example.com")], State.GOOD, "1 subscription"),
        ("a@example.com", [("arn:aws:sns:1", "a@example.com")], State.GOOD, "1 subscription"),
        ("", [], State.UNKNOWN, "no subscription"),
        ("a@example.com", [("PendingConfirmation", "a@example.com")], State.BAD, "not confirmed"),
        ("a@example.com", [("Deleted", "a@example.com")], State.BAD, "no longer subscribed"),
        ("a@example.com", [], State.BAD, "no longer subscribed"),
        ("a@example.com", [("arn:aws:sns:1", "b@example.com")], State.BAD, "no longer subscribed"),
    ],
)
def test_whether_anybody_is_told_of_an_alarm(
    account: Account, email: str, subscriptions: list[tuple[str, str]], state: State, words: str
) -> None:
    account.stack.parameters["AlarmEmail"] = email
    account.subscriptions[:] = [{"SubscriptionArn": arn, "Endpoint": endpoint} for arn, endpoint in subscriptions]

    finding = check_alarm_recipients(account.context)

    assert finding.state is state
    assert words in finding.what
    if state is State.BAD:
        assert "--protocol email --notification-endpoint a@example.com" in finding.fix


# --- the token -----------------------------------------------------------------------------------------------------

V2_ERROR = [{"status": 404, "message": "no"}]
B2B_ERROR = {"code": 404, "data": {}, "meta": {"message": "User matching query does not exist."}}


@pytest.mark.parametrize(
    ("step", "state", "who", "words", "fix"),
    [
        (answer(200, []), State.GOOD, Who.YOU, "reads orders", ""),
        (answer(204), State.GOOD, Who.YOU, "reads orders", ""),
        (answer(401), State.BAD, Who.YOU, "wrong or was revoked", "again: relay store add abc123."),
        (answer(403), State.BAD, Who.YOU, "lacks the scope Orders: read-only", "then: relay store add abc123"),
        (answer(404, V2_ERROR), State.BAD, Who.YOU, "there is no store abc123", "check the hash"),
        (answer(409, [{"status": 409}]), State.BAD, Who.YOU, "unexpected answer", "StoreApiUrl"),
        (answer(200, b"<html>"), State.BAD, Who.YOU, "not the API's", "StoreApiUrl"),
        (answer(429), State.UNKNOWN, Who.NOBODY, "rate limit", "in a minute"),
        (answer(503), State.BAD, Who.BIGCOMMERCE, "HTTP 503", "nothing to do"),
        (unreachable(), State.BAD, Who.BIGCOMMERCE, "no answer", "nothing to do"),
    ],
)
def test_what_the_core_api_answers_says_what_is_wrong_and_who_mends_it(
    account: Account, step: Any, state: State, who: Who, words: str, fix: str
) -> None:
    account.exchange.always("GET", CORE, step)

    finding, _ = check_core(account.context, "abc123", token(account))

    assert (finding.state, finding.who) == (state, who)
    assert words in finding.what
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("step", "state", "words"),
    [
        (answer(200, {"code": 200, "data": {"id": 1}}), State.GOOD, "reads company users"),
        (answer(404, B2B_ERROR), State.GOOD, "reads company users"),
        (answer(404, b"<html>no route</html>"), State.BAD, "not the API's"),
        (answer(403), State.BAD, "lacks the scope B2B Edition: modify"),
    ],
)
def test_a_token_that_may_ask_for_company_users_is_well_whoever_there_is(
    account: Account, step: Any, state: State, words: str
) -> None:
    account.exchange.always("GET", USER, step)

    finding = check_users(account.context, "abc123", token(account))

    assert finding.state is state
    assert words in finding.what


@pytest.mark.parametrize(
    ("core", "b2b", "second_token", "because"),
    [
        (answer(401), answer(401), None, "core API"),
        (answer(503), answer(503), None, "core API"),
        (answer(401), answer(401), "another", ""),
        (answer(403), answer(401), None, ""),
        (answer(401), answer(503), None, ""),
        (answer(200, []), answer(401), None, ""),
    ],
)
def test_one_reason_for_both_apis_is_told_once(
    account: Account, core: Any, b2b: Any, second_token: str | None, because: str
) -> None:
    account.secret |= {"b2b_token": second_token} if second_token else {}
    account.exchange.always("GET", CORE, core)
    account.exchange.always("GET", B2B, b2b)
    root, _ = check_core(account.context, "abc123", token(account))

    assert follows(check_b2b(account.context, "abc123", token(account)), root, token(account)).because == because


@pytest.mark.parametrize(
    ("date", "state"),
    [
        ("Sat, 25 Jul 2026 17:20:00 GMT", State.GOOD),
        ("Sat, 25 Jul 2026 17:20:04 GMT", State.GOOD),
        ("Sat, 25 Jul 2026 17:20:20 GMT", State.BAD),
        ("Sat, 25 Jul 2026 17:19:30 GMT", State.BAD),
        ("", State.UNKNOWN),
    ],
)
def test_a_clock_that_is_off_is_wrong(account: Account, date: str, state: State) -> None:
    given = answer(200, headers={"Date": date}).response
    assert given is not None

    assert clock_finding(given, account.clock(), account.clock() + 0.1).state is state


# --- one store -----------------------------------------------------------------------------------------------------


def of_store(account: Account) -> dict[str, Finding]:
    return {finding.step: finding for finding in check_store(account.context, "abc123", "https://x.example", None)}


@pytest.mark.parametrize(
    ("key", "parameter", "state"),
    [
        ("", "", None),
        ("alias/aws/secretsmanager", "", None),
        ("1234", "", State.BAD),
        ("1234", "arn:aws:kms:us-east-1:1:key/5678", State.BAD),
        ("1234", "arn:aws:kms:us-east-1:1:key/1234", State.GOOD),
        ("arn:aws:kms:us-east-1:1:key/1234", "arn:aws:kms:us-east-1:1:key/1234", State.GOOD),
    ],
)
def test_a_secret_under_a_key_that_the_functions_may_not_use_is_wrong(
    account: Account, key: str, parameter: str, state: State | None
) -> None:
    account.key = key
    account.stack.parameters["SecretsKeyArn"] = parameter
    account.exchange.otherwise = lambda _sent: answer(503)

    found = of_store(account).get("secret key")

    assert (found and found.state) == state


def test_a_core_api_that_fails_leaves_the_rest_not_looked_at(account: Account) -> None:
    account.exchange.always("GET", CORE, answer(503))
    account.exchange.otherwise = lambda _sent: answer(200, {"code": 200, "data": []})

    found = of_store(account)

    assert found["B2B API"].state is State.GOOD
    skipped = [found[step] for step in ("hooks API", "webhook", "PO number", "extra fields")]
    assert {(finding.state, finding.because) for finding in skipped} == {(State.UNKNOWN, "core API")}
    assert skipped[0].what == "not checked: the core API does not answer"


def test_a_hooks_api_that_refuses_leaves_the_webhook_not_looked_at(account: Account) -> None:
    account.exchange.always("GET", "/stores/abc123/v3/hooks", answer(403))
    account.exchange.always("GET", CORE, answer(200, []))
    account.exchange.otherwise = lambda _sent: answer(200, {"code": 200, "data": []})

    assert of_store(account)["webhook"].because == "hooks API"


# --- its webhook ---------------------------------------------------------------------------------------------------

URL = "https://relay.example.com/webhooks"
ORDERS_CREATED = "store/order/created"


def hook(number: int, scope: str = ORDERS_CREATED, *, active: bool = True) -> dict[str, Any]:
    return {"id": number, "scope": scope, "destination": URL, "is_active": active, "headers": {}}


def of_hooks(account: Account, url: str, *hooks: dict[str, Any]) -> dict[str, Finding]:
    account.context.__dict__["hooks_api"] = SimpleNamespace(
        pointing_at=lambda *_: list(hooks),
        list_hooks=lambda *_: list(hooks),
        call=lambda *_: answer(200, {"data": {"blocked_domains": []}}).response,
    )
    return {finding.step: finding for finding in check_hook(account.context, "abc123", url, token(account))}


def test_an_active_hook_that_points_here_is_well(account: Account) -> None:
    assert {step: finding.state for step, finding in of_hooks(account, URL, hook(1)).items()} == {"webhook": State.GOOD}


def test_no_hook_is_wrong_unless_none_is_expected(account: Account) -> None:
    assert of_hooks(account, URL)["webhook"].state is State.BAD
    account.stack.parameters["StoresSendWebhooks"] = "false"
    assert of_hooks(account, URL)["webhook"].state is State.GOOD


def test_a_hook_that_was_switched_off_comes_with_the_orders_of_the_time_between(account: Account) -> None:
    finding = of_hooks(account, URL, hook(1, active=False))["webhook"]

    assert finding.state is State.BAD
    assert "relay hook enable abc123; " in finding.fix
    assert "relay backfill --store abc123 --since 48h" in finding.fix


def test_two_hooks_for_the_same_orders_are_wrong_and_those_of_two_channels_are_not(account: Account) -> None:
    duplicates = of_hooks(account, URL, hook(1), hook(2))["duplicate hooks"]
    assert (duplicates.state, duplicates.what[:26]) == (State.BAD, "2 active hooks point here ")
    assert "relay hook delete abc123 --id 2" in duplicates.fix

    channels = [hook(number, f"store/channel/{number}/order/created") for number in (1, 2)]
    assert "duplicate hooks" not in of_hooks(account, URL, *channels)


def test_a_url_that_the_relay_does_not_watch_is_wrong(account: Account) -> None:
    finding = of_hooks(account, "https://elsewhere.example.com/webhooks", hook(1))["monitored URL"]

    assert finding.state is State.BAD
    assert "CustomWebhookUrl=https://elsewhere.example.com/webhooks" in finding.fix


# --- what cannot be looked at --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "state", "who"),
    [
        (RetryLater(Cause.NO_ANSWER, "timed out"), State.UNKNOWN, Who.BIGCOMMERCE),
        (aws_error("AccessDenied"), State.UNKNOWN, Who.YOU),
        (EndpointConnectionError(endpoint_url="https://x"), State.UNKNOWN, Who.YOU),
        (Refused(Cause.API_REFUSED, "HTTP 422"), State.BAD, Who.YOU),
        (CliError("It is broken.", "fix it"), State.BAD, Who.YOU),
    ],
)
def test_a_look_that_fails_claims_nothing_unless_something_is_wrong(error: Exception, state: State, who: Who) -> None:
    def look() -> Iterable[Finding]:
        raise error

    [finding] = guarded("step", look)

    assert (finding.step, finding.state, finding.who) == ("step", state, who)


def test_a_fault_of_our_own_is_not_a_finding() -> None:
    def look() -> Iterator[Finding]:
        raise KeyError("x")

    with pytest.raises(KeyError):
        list(guarded("step", look))
