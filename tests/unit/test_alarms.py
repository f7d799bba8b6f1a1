"""Every alarm of the template has rung here, for the reason it is there for; it is silent before, and again afterwards.

The alarms are the template's own definitions, the metrics are written by the functions' own code or stand in AWS's lists.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import pytest

from handler.enrichment import Rules
from handler.telemetry import NAMESPACE, Metric
from sandbox.aws.emulator import ROOT
from support.aws import DEAD_LETTER_URL, RECOVERY_URL, refusal
from support.aws_metrics import PUBLISHED
from support.cloudwatch import Alarm, Metrics
from support.events import BUYER, webhook
from support.exchange import Step, answer
from support.night import Night, new_night
from support.template import STACK, Resolved
from support.world import COMPANIES, LOOK_UP, RECORDS, SECRET_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.telemetry import Written

PARTNER = "aws.partner/bigcommerce.com/store/abcde"
EVERYTHING_ON = {
    "PartnerEventSourceName": PARTNER,
    "NoWebhookAlarmHours": 24,
    "GradualDeployment": "Canary10Percent5Minutes",
}
ALARMS = Resolved(**EVERYTHING_ON).of_type("AWS::CloudWatch::Alarm")
BROKEN_RULE = """[all]\npo_number = "length(id)"\n"""

TROUBLES: dict[str, Callable[[Night], Iterator[None]]] = {}


def rings(*alarms: str) -> Callable[[Callable[[Night], Iterator[None]]], Callable[[Night], Iterator[None]]]:
    """The trouble that makes these alarms ring. It begins, and once they ring (at the `yield`) it is mended."""

    def register(trouble: Callable[[Night], Iterator[None]]) -> Callable[[Night], Iterator[None]]:
        TROUBLES.update(dict.fromkeys(alarms, trouble))
        return trouble

    return register


@rings("DeadLettersAlarm", "DeadLettersGrowAlarm")
def an_order_is_refused_for_good(night: Night) -> Iterator[None]:
    night.world.exchange.on(
        "POST", RECORDS, answer(422, {"code": 422, "data": {}, "meta": {"message": "Cost Center is required"}})
    )
    night.order()
    night.pass_minutes(2)
    yield
    night.world.sqs.queues[DEAD_LETTER_URL].clear()  # redriven


@rings("LateOrdersOldAlarm")
def an_outage_of_two_hours(night: Night) -> Iterator[None]:
    night.world.exchange.always("GET", LOOK_UP, answer(503))
    night.world.put_late()
    night.pass_minutes(120)
    yield
    night.mend()
    night.world.place(automatic_record_after=30.0)


@rings("RecoveryStandsStillAlarm")
def nobody_works_on_the_queue(night: Night) -> Iterator[None]:
    night.recovery_runs = False
    night.world.place(automatic_record_after=30.0)
    night.world.put_late()
    night.pass_minutes(80)
    yield
    night.recovery_runs = True


@rings("HandOverFailsAlarm")
def lambda_cannot_reach_the_queue(night: Night) -> Iterator[None]:
    night.function("order", "DestinationDeliveryFailures")
    night.pass_minutes(1)
    yield


@rings("RuleHandOverFailsAlarm", "PartnerHandOverFailsAlarm")
def the_rules_cannot_reach_the_queue(night: Night) -> Iterator[None]:
    for bus, rule in ((STACK, f"{STACK}-orders"), (PARTNER, f"{STACK}-partner-orders")):
        night.aws("AWS/Events", "InvocationsFailedToBeSentToDlq", 1, EventBusName=bus, RuleName=rule)
    night.pass_minutes(1)
    yield


@rings("RuleUndeliveredAlarm", "PartnerUndeliveredAlarm")
def the_rules_may_not_call_the_function(night: Night) -> Iterator[None]:
    for bus, rule in ((STACK, f"{STACK}-orders"), (PARTNER, f"{STACK}-partner-orders")):
        night.aws("AWS/Events", "InvocationsSentToDlq", 1, EventBusName=bus, RuleName=rule)
    night.pass_minutes(1)
    yield


@rings("SkippedNoCompanyAlarm")
def something_in_between_denies_every_customer(night: Night) -> Iterator[None]:
    night.pass_minutes(15)  # the last good order is out of sight
    night.world.store.company_customers.clear()
    for _ in range(20):
        night.order()
    night.pass_minutes(2)
    yield
    night.world.store.company_customers.add(BUYER)


@rings("WindowMissedAlarm")
def webhooks_come_too_late(night: Night) -> Iterator[None]:
    for _ in range(20):
        night.order()
    for _ in range(3):
        night.order(age_seconds=12.0)
    night.pass_minutes(2)
    yield


@rings("DeploymentLateOrdersAlarm")
def a_new_version_makes_its_orders_late(night: Night) -> Iterator[None]:
    for number in range(30):
        night.order(age_seconds=12.0 if number % 10 == 0 else 0.0)
    night.pass_minutes(2)
    yield


@rings("UnauthorizedAlarm")
def the_token_is_revoked(night: Night) -> Iterator[None]:
    night.world.exchange.always("POST", RECORDS, answer(401))
    night.order()
    night.pass_minutes(2)
    yield
    night.mend()


@rings("SecretUnavailableAlarm")
def the_secret_is_gone(night: Night) -> Iterator[None]:
    secret = night.world.secrets.secrets.pop(SECRET_NAME)
    night.pass_minutes(10)  # the functions have kept it for five
    night.world.place(automatic_record_after=30.0)
    night.world.create()
    night.pass_minutes(2)
    yield
    night.world.secrets.secrets[SECRET_NAME] = secret


@rings("NotProvenAlarm")
def somebody_guesses_the_key(night: Night) -> Iterator[None]:
    for _ in range(4):
        assert night.webhook(webhook(night.world.clock.now), key="guessed") == 401
    night.pass_minutes(2)
    yield


@rings("WebhookErrorsAlarm")
def neither_bus_nor_queue_takes_events(night: Night) -> Iterator[None]:
    night.world.bus.error = refusal("InternalException")
    night.world.sqs.broken.add(RECOVERY_URL)
    for _ in range(3):
        assert night.webhook(webhook(night.world.clock.now)) == 503
    night.pass_minutes(1)
    yield
    night.world.bus.error = None
    night.world.sqs.broken.clear()


@rings("NoWebhookAlarm")
def the_stores_fall_silent(night: Night) -> Iterator[None]:
    night.order()
    night.pass_minutes(27 * 60)
    yield
    night.order()


@rings("WebhooksMissingAlarm")
def webhooks_get_lost(night: Night) -> Iterator[None]:
    night.store_lists([night.place() for _ in range(3)])
    night.pass_minutes(3)
    night.reconcile()
    night.pass_minutes(2)
    yield


@rings("HookMissingAlarm")
def somebody_deletes_the_hook(night: Night) -> Iterator[None]:
    night.hook(is_active=None)
    night.reconcile()
    night.pass_minutes(600)  # it goes on ringing until a look finds it mended
    yield
    night.hook(is_active=True)
    night.reconcile()


@rings("HookSwitchedOffAlarm")
def bigcommerce_switches_the_hook_off(night: Night) -> Iterator[None]:
    night.hook(is_active=False)
    night.reconcile()
    night.pass_minutes(2)
    yield
    night.hook(is_active=True)
    night.reconcile()


@rings("ReconcileBehindAlarm")
def the_store_does_not_list_its_orders(night: Night) -> Iterator[None]:
    night.reconcile()
    night.store_lists([], status=503)
    for _ in range(4):
        night.pass_minutes(15)
        night.reconcile()
    night.pass_minutes(60)
    yield
    night.store_lists([])
    for _ in range(2):  # the first look closes the gap, the second finds none
        night.reconcile()
        night.pass_minutes(15)


@rings("OrderFunctionFailsAlarm", "RecoveryFunctionFailsAlarm", "ReconcileFunctionFailsAlarm")
def the_functions_crash(night: Night) -> Iterator[None]:
    for function in ("order", "recovery", "reconcile"):
        night.function(function, "Errors")
    night.pass_minutes(1)
    yield


@rings("UnexpectedErrorAlarm")
def a_late_order_meets_a_fault_of_ours(night: Night) -> Iterator[None]:
    night.world.exchange.on("GET", LOOK_UP, Step(cast("Any", "no response at all"), 0.1))
    night.world.put_late()
    night.pass_minutes(2)
    yield


@rings("OrderFunctionThrottledAlarm", "RecoveryFunctionThrottledAlarm", "ReconcileFunctionThrottledAlarm")
def the_account_has_no_concurrency_left(night: Night) -> Iterator[None]:
    for function in ("order", "recovery", "reconcile"):
        night.function(function, "Throttles")
    night.pass_minutes(1)
    yield


@rings("RuleFailsAlarm")
def a_rule_fails(night: Night) -> Iterator[None]:
    night.use_rules(Rules.parse(BROKEN_RULE))
    night.order()
    night.pass_minutes(2)
    yield
    night.use_rules(Rules.load())


SOURCE_RULE = '[all.extra_fields]\nA = "company.companyName"'


@rings("SourceFailsAlarm")
def the_company_does_not_answer(night: Night) -> Iterator[None]:
    night.use_rules(Rules.parse(SOURCE_RULE))
    night.world.exchange.always("GET", COMPANIES, answer(500))
    for _ in range(20):
        night.order()
        night.pass_minutes(1)
    yield
    night.mend()
    night.use_rules(Rules.load())


@rings("SourceRefusedAlarm")
def the_company_is_refused(night: Night) -> Iterator[None]:
    night.use_rules(Rules.parse(SOURCE_RULE))
    night.world.exchange.always("GET", COMPANIES, answer(403))
    night.order()
    night.pass_minutes(2)
    yield
    night.mend()
    night.use_rules(Rules.load())


@rings("NotRememberedAlarm")
def dynamodb_fails(night: Night) -> Iterator[None]:
    night.world.table.error = refusal("ProvisionedThroughputExceededException")
    for _ in range(20):
        night.order(age_seconds=12.0)  # late, which the order_notes would note
        night.pass_minutes(1)
    yield
    night.world.table.error = None


def begin(night: Night) -> None:
    """An hour of good business before anything happens."""
    for _ in range(4):
        night.order()
        night.reconcile()
        night.pass_minutes(15)
    assert night.rung() == set()


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_an_alarm_is_silent_then_rings_then_is_silent_again(name: str, written: Written) -> None:
    night = new_night(written, **EVERYTHING_ON)
    night.alarms = {name: night.alarms[name]}  # evaluating the others too would take most of the time
    begin(night)
    trouble = TROUBLES[name](night)

    next(trouble)

    assert name in night.ringing()
    assert next(trouble, None) is None
    for _ in range(32):
        night.reconcile()
        night.order()
        night.pass_minutes(15)
    assert night.alarms[name].history == ["OK", "ALARM", "OK"]


def test_every_alarm_has_a_trouble_that_makes_it_ring_and_no_other_is_made_up() -> None:
    assert set(TROUBLES) == set(ALARMS)


def an_order(night: Night) -> None:
    night.order()


def one_late_order_at_night(night: Night) -> None:
    night.order(age_seconds=12.0)


def forged_webhooks(night: Night) -> None:
    for _ in range(3):
        night.webhook(webhook(night.world.clock.now), key="guessed")


def a_slow_minute_of_the_api(night: Night) -> None:
    night.world.exchange.on("POST", RECORDS, answer(503), answer(429, headers={"retry-after": "1"}))
    night.order()


def an_outage_longer_than_one_window(night: Night) -> None:
    night.world.exchange.on("POST", RECORDS, *[answer(503)] * 20)
    night.order()


def one_webhook_answered_5xx_twice(night: Night) -> None:
    for _ in range(2):
        night.aws("AWS/ApiGateway", "5XXError", 1, ApiName=STACK, Stage="live")


def two_lost_webhooks_and_a_look_that_fails(night: Night) -> None:
    night.store_lists([night.place() for _ in range(2)])
    night.pass_minutes(3)
    night.reconcile()
    night.store_lists([], status=503)
    night.pass_minutes(15)
    night.reconcile()
    night.store_lists([])


SMALL_TROUBLES: dict[int, Callable[[Night], Any]] = {
    2: one_late_order_at_night,
    4: forged_webhooks,
    5: a_slow_minute_of_the_api,
    6: one_webhook_answered_5xx_twice,
    8: two_lost_webhooks_and_a_look_that_fails,
    10: an_outage_longer_than_one_window,
}


def test_a_good_day_with_its_small_troubles_wakes_nobody(written: Written) -> None:
    night = new_night(written, **EVERYTHING_ON)
    for hour in range(12):
        SMALL_TROUBLES.get(hour, an_order)(night)
        for _ in range(4):
            night.reconcile()
            night.pass_minutes(15)

    assert night.rung() == set()


def test_three_late_orders_among_many_are_no_alarm(written: Written) -> None:
    night = new_night(written)
    for _ in range(40):
        night.order()
    for _ in range(3):
        night.order(age_seconds=12.0)
    night.pass_minutes(20)

    assert "WindowMissedAlarm" not in night.rung()


def test_a_further_dead_letter_rings_although_the_first_one_still_does(written: Written) -> None:
    night = new_night(written)
    begin(night)
    for _ in range(2):
        an_order_is_refused_for_good(night).__next__()
        night.pass_minutes(20)

    assert night.alarms["DeadLettersAlarm"].history == ["OK", "ALARM"]
    assert night.alarms["DeadLettersGrowAlarm"].history == ["OK", "ALARM", "OK", "ALARM", "OK"]


@pytest.mark.parametrize(("skipped", "good", "rings"), [(20, 0, True), (19, 0, False), (25, 1, False)])
def test_skipped_orders_ring_only_in_numbers_and_while_no_order_is_enriched(
    written: Written, skipped: int, good: int, *, rings: bool
) -> None:
    night = new_night(written)
    night.pass_minutes(15)
    for _ in range(good):
        night.order()
    night.world.store.company_customers.clear()
    for _ in range(skipped):
        night.order()
    night.pass_minutes(2)

    assert len(written.metrics["OrderSkippedNoCompany"]) == skipped
    assert ("SkippedNoCompanyAlarm" in night.ringing()) is rings


@pytest.mark.parametrize("kind", ["OrderCreated", "OrderUpdated", "OrderUnchanged"])
def test_each_kind_of_enriched_order_speaks_against_the_alarm_on_skipped_ones(written: Written, kind: str) -> None:
    night = new_night(written)
    for name, value in (("OrderSkippedNoCompany", 50), (kind, 1)):
        night.metrics.put(NAMESPACE, name, {"service": STACK}, value, night.world.clock.now)
    night.pass_minutes(1)

    assert "SkippedNoCompanyAlarm" not in night.rung()


def test_silence_is_no_alarm_unless_asked_for() -> None:
    assert "NoWebhookAlarm" not in Resolved().of_type("AWS::CloudWatch::Alarm")


def test_where_orders_come_over_a_bus_alone_nobody_misses_a_hook() -> None:
    made = Resolved(StoresSendWebhooks="false").of_type("AWS::CloudWatch::Alarm")
    assert not {"HookMissingAlarm", "HookSwitchedOffAlarm"} & set(made)


# --- the definitions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_an_alarm_looks_at_metrics_that_somebody_emits(name: str) -> None:
    stats = Alarm(ALARMS[name]).stats()
    assert stats
    for stat in stats.values():
        metric = stat["Metric"]
        dimensions = {item["Name"]: item["Value"] for item in metric["Dimensions"]}
        if metric["Namespace"] == NAMESPACE:
            assert metric["MetricName"] in set(Metric)
            assert dimensions == {"service": STACK}
        else:
            assert PUBLISHED[metric["Namespace"], metric["MetricName"]] == dimensions.keys()


@pytest.mark.parametrize("name", sorted(set(ALARMS) - {"DeploymentLateOrdersAlarm"}))
def test_an_alarm_tells_the_topic_when_it_begins_and_when_it_is_over(name: str) -> None:
    assert ALARMS[name]["AlarmActions"] == ALARMS[name]["OKActions"] == ["AlarmTopic"]


def test_the_alarm_for_codedeploy_tells_nobody_and_is_there_only_while_deployments_are_gradual() -> None:
    assert not {"AlarmActions", "OKActions"} & ALARMS["DeploymentLateOrdersAlarm"].keys()
    assert "DeploymentLateOrdersAlarm" not in Resolved().of_type("AWS::CloudWatch::Alarm")


UNDELIVERED = [
    ("InvocationsSentToDlq", "RuleUndeliveredAlarm", "PartnerUndeliveredAlarm"),
    ("InvocationsFailedToBeSentToDlq", "RuleHandOverFailsAlarm", "PartnerHandOverFailsAlarm"),
]


@pytest.mark.parametrize(("metric", "own", "partner"), UNDELIVERED)
def test_the_alarms_on_undelivered_events_look_at_both_rules(metric: str, own: str, partner: str) -> None:
    rules = Resolved(**EVERYTHING_ON).of_type("AWS::Events::Rule")
    functions = Resolved(**EVERYTHING_ON).of_type("AWS::Serverless::Function")
    own_rule = functions["OrderFunction"]["Events"]["BusEvent"]["Properties"]
    names = {own: (STACK, own_rule["RuleName"]), partner: (PARTNER, rules["PartnerRule"]["Name"])}
    assert (own_rule["EventBusName"], rules["PartnerRule"]["EventBusName"]) == (STACK, PARTNER)
    for alarm, (bus, rule) in names.items():
        assert ALARMS[alarm]["MetricName"] == metric
        dimensions = {item["Name"]: item["Value"] for item in ALARMS[alarm]["Dimensions"]}
        assert dimensions == {"EventBusName": bus, "RuleName": rule}


# --- gradual deployments ------------------------------------------------------------------------------------------


def canary(alarm: str, orders_a_minute: int, late_of_the_canary: float, late_of_all: float = 0.0) -> int | None:
    """The minute of a five-minute canary (10 % of the orders) in which the alarm rings, metrics a minute late; or None.

    The shares of orders that are late are spread evenly. Before the canary, an hour passed with the old version.
    """
    watched, metrics = Alarm(ALARMS[alarm]), Metrics()
    begin, delay = 3600.0, 60.0
    late = 0.0
    for number in range(65 * orders_a_minute):
        at = number * 60.0 / orders_a_minute
        metrics.put(NAMESPACE, "OrderReceived", {"service": STACK}, 1, at + delay)
        late += late_of_all + (0.1 * late_of_the_canary if at >= begin else 0.0)
        if late > 0.999:
            late -= 1.0
            metrics.put(NAMESPACE, "OrderLate", {"service": STACK}, 1, at + delay)
    for minute in range(1, 60):
        assert watched.evaluate(metrics, minute * 60.0) != "ALARM"  # a deployment would not begin
    return next((m for m in range(6) if watched.evaluate(metrics, begin + m * 60.0) == "ALARM"), None)


@pytest.mark.parametrize(("orders_a_minute", "late"), [(15, 1.0), (30, 1.0), (100, 1.0), (100, 0.7)])
def test_a_canary_that_makes_its_orders_late_is_taken_back_within_its_five_minutes(
    orders_a_minute: int, late: float
) -> None:
    assert canary("DeploymentLateOrdersAlarm", orders_a_minute, late) in range(2, 5)


def test_the_alarm_on_missed_windows_could_not_do_that() -> None:
    assert canary("WindowMissedAlarm", 100, 1.0) is None


def test_with_few_orders_no_share_of_them_tells_a_bad_canary() -> None:
    assert canary("DeploymentLateOrdersAlarm", 2, 1.0) is None


def test_one_late_order_in_a_hundred_takes_no_canary_back() -> None:
    assert canary("DeploymentLateOrdersAlarm", 100, 0.0, late_of_all=0.01) is None


def test_no_alarm_looks_back_further_than_cloudwatch_can() -> None:
    longest: dict[str, Any] = EVERYTHING_ON | {"NoWebhookAlarmHours": 168}
    for name, definition in Resolved(**longest).of_type("AWS::CloudWatch::Alarm").items():
        alarm = Alarm(definition)
        seconds = alarm.period_seconds * int(definition["EvaluationPeriods"])
        assert seconds <= (604_800 if alarm.period_seconds >= 3600 else 86_400), name


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_an_alarm_names_a_section_of_the_runbook(name: str) -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", runbook, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
    document, anchor = re.fullmatch(r".+ What to do: (\S+)#(\S+)", ALARMS[name]["AlarmDescription"]).groups()  # type: ignore[union-attr]
    assert document == "docs/runbook.md"
    assert anchor in anchors


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_the_runbook_names_every_alarm(name: str) -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    suffix = ALARMS[name]["AlarmName"].removeprefix(f"{STACK}-")
    assert f"`{suffix}`" in runbook
