"""Checks of waiting orders and alarms. Most problems here are caused by earlier findings."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from handler.errors import Cause
from handler.telemetry import NAMESPACE, Metric
from relay.checks import Finding, State, Who
from relay.dead_letters import BATCH_SIZE, WAIT_SECONDS, DeadLetter
from relay.text import counted
from relay.timespan import rough

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from relay.context import Context

LONGEST_PAUSE = timedelta(minutes=75)
"""Between two attempts of a late order, at most."""

OLD_SECONDS = 1800.0
"""Late orders usually finish within minutes; one older than this is reported as a problem."""

SAMPLE_VISIBILITY_TIMEOUT_SECONDS = 20
"""Visibility timeout of the dead letters that are read here."""

LATE, DEAD = "late orders", "dead letters"
TOKEN, OUTAGE, SECRET, HOOK, RULES = "token", "outage", "secret", "hook", "rules"
APIS = frozenset({"core API", "B2B API", "B2B users", "hooks API"})
TOPICS = {
    "secret": SECRET,
    "secret key": SECRET,
    "webhook": HOOK,
    "blocked domain": HOOK,
    "rules": RULES,
    "extra fields": RULES,
}
CAUSES = {
    str(Cause.UNAUTHORISED): {TOKEN},
    str(Cause.SECRET_UNAVAILABLE): {SECRET},
    str(Cause.NO_ANSWER): {OUTAGE},
    str(Cause.API_UNAVAILABLE): {OUTAGE},
    str(Cause.UNEXPECTED_ANSWER): {OUTAGE, TOKEN},
    str(Cause.API_REFUSED): {RULES},
    str(Cause.SOURCE_UNAVAILABLE): {OUTAGE, TOKEN},
}
"""The topics that can cause a dead letter, by its cause."""

ALARMS = {
    "unauthorized": {TOKEN},
    "secret-unavailable": {SECRET},
    "window-missed": {OUTAGE, TOKEN, SECRET},
    "reconcile-behind": {OUTAGE, TOKEN, SECRET},
    "hook-missing": {HOOK},
    "hook-switched-off": {HOOK},
    "webhooks-missing": {HOOK},
    "no-webhook": {HOOK},
    "rule-fails": {RULES},
    "source-fails": {OUTAGE, TOKEN},
    "source-refused": {TOKEN},
    "late-orders-old": {LATE},
    "dead-letters": {DEAD},
    "dead-letters-grow": {DEAD},
}
"""The topics that can cause an alarm, by its name without the stack name."""

RootCauses = dict[str, str]
"""The name of the failed check by topic."""


def root_causes(found: Mapping[str, Sequence[Finding]]) -> RootCauses:
    """The first failed check of each topic, from the findings by section."""
    topics: RootCauses = {}
    for section, findings in found.items():
        for finding in findings:
            if finding.state is not State.BAD or finding.because:
                continue
            topic = TOPICS.get(finding.step, "")
            if finding.step in APIS:
                topic = OUTAGE if finding.who is Who.BIGCOMMERCE else TOKEN
            if topic:
                topics.setdefault(topic, f"{section}: {finding.step}")
    return topics


def check_late(context: Context, known: RootCauses) -> Finding:
    """The number of late orders, the age of the oldest, and when it is given up. Raises botocore's errors."""
    waiting = _depth(context, context.settings.recovery_queue_url)
    if not waiting:
        return Finding(LATE, State.GOOD, "none")
    age = _oldest_late_seconds(context)
    gives_up = context.settings.give_up_after_minutes * 60
    what = f"{counted(waiting, 'order')} in the recovery queue; "
    if age is None:
        what += f"their ages are not known yet; each is given up {rough(gives_up)} after it became late"
    else:
        what += f"the oldest for {rough(age)}, given up in {rough(gives_up - age)}"
    which = "list them: relay late list"
    if because := next((known[topic] for topic in (SECRET, TOKEN, OUTAGE) if topic in known), ""):
        return Finding(LATE, State.UNKNOWN, what, which, Who.NOBODY, because)
    if age is not None and age > OLD_SECONDS:
        return Finding(LATE, State.BAD, what, which)
    return Finding(LATE, State.UNKNOWN, what, f"they are retried; {which}", Who.NOBODY)


def check_dead(context: Context, known: RootCauses) -> Finding:
    """The number of dead letters, with the causes of some of them. Raises botocore's errors."""
    url = context.settings.dead_letter_queue_url
    dead = _depth(context, url)
    if not dead:
        return Finding(DEAD, State.GOOD, "none")
    age, letters = _oldest_seconds(context, url), _sample(context, url)
    since = "" if age is None else f", the oldest for {rough(age)}"
    alike = Counter((letter.cause, letter.detail) for letter in letters).most_common()
    words = "; ".join(f"{number} x {cause}: {detail}" for (cause, detail), number in alike)
    read = f" of {len(letters)} of them" if len(letters) < dead else ""
    follow = [_because(CAUSES.get(cause, set()), known) for (cause, _), _ in alike]
    because = follow[0] if follow and all(follow) else ""
    return Finding(
        DEAD,
        State.BAD,
        f"{counted(dead, 'order')} {'needs' if dead == 1 else 'need'} an operator{since}"
        + (f"; causes{read}: {words}" if words else ""),
        "list them: relay failed list. After the fix: relay failed redrive --all",
        because=because,
    )


def check_alarms(context: Context, known: RootCauses, found: Sequence[Finding]) -> Iterator[Finding]:
    """The alarms in state ALARM; `found` are the findings about late and dead orders. Raises botocore's errors."""
    names = _resources(context, "AWS::CloudWatch::Alarm")
    alarms = context.cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"] if names else []
    if not alarms:
        yield Finding("alarms", State.BAD, "the stack has no alarms", "make deploy")
        return
    known = known | {finding.step: finding.step for finding in found if finding.state is not State.GOOD}
    in_alarm = [alarm for alarm in alarms if alarm["StateValue"] == "ALARM"]
    for alarm in in_alarm:
        since = (datetime.fromtimestamp(context.clock(), UTC) - alarm["StateUpdatedTimestamp"]).total_seconds()
        name = alarm["AlarmName"]
        yield Finding(
            "alarms",
            State.BAD,
            f"{name} has been in ALARM for {rough(since)}",
            alarm.get("AlarmDescription", "") or "see its section in docs/runbook.md",
            because=_because(ALARMS.get(name.removeprefix(f"{context.stack.name}-"), set()), known),
        )
    if waiting := sum(alarm["StateValue"] == "INSUFFICIENT_DATA" for alarm in alarms):
        yield Finding(
            "alarms",
            State.UNKNOWN,
            f"{waiting} of {len(alarms)} alarms have no data yet",
            "run the check again a few minutes after the deployment",
            Who.NOBODY,
        )
    elif not in_alarm:
        yield Finding("alarms", State.GOOD, f"none of {len(alarms)} is in ALARM")


def check_alarm_recipients(context: Context) -> Finding:
    """Checks that the alarms' topic has a confirmed subscription. Raises botocore's errors."""
    step = "alarm recipients"
    email = context.stack.parameters.get("AlarmEmail", "")
    topics = _resources(context, "AWS::SNS::Topic")
    if not topics:
        return Finding(step, State.BAD, "the stack has no topic for its alarms", "make deploy")
    topic = topics[0]
    pages = context.sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    subscriptions = [each for page in pages for each in page["Subscriptions"]]
    confirmed = [each for each in subscriptions if each.get("SubscriptionArn", "").startswith("arn:")]
    pending = [
        each.get("Endpoint", "") for each in subscriptions if each.get("SubscriptionArn") == "PendingConfirmation"
    ]
    if pending:
        what = f"not confirmed, so no alarm reaches {', '.join(pending)}"
        fix = f"open the link in the confirmation mail from AWS; to send it again: {_subscribe(topic, pending[0])}"
        return Finding(step, State.BAD, what, fix)
    if email and email not in {each.get("Endpoint") for each in confirmed}:
        what = f"{email} (AlarmEmail) is no longer subscribed"
        return Finding(step, State.BAD, what, _subscribe(topic, email))
    if confirmed:
        return Finding(step, State.GOOD, f"{counted(len(confirmed), 'subscription')} of the alarm topic")
    return Finding(
        step,
        State.UNKNOWN,
        "the alarm topic has no subscription; other notifications are not checked",
        "subscribe: make deploy EMAIL=you@example.com",
    )


def _resources(context: Context, kind: str) -> list[str]:
    """The names or ARNs of the stack's resources of this type."""
    pages = context.cloudformation.get_paginator("list_stack_resources").paginate(StackName=context.stack.name)
    resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
    return [each.get("PhysicalResourceId", "") for each in resources if each["ResourceType"] == kind]


def _subscribe(topic: str, email: str) -> str:
    return f"aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint {email}"


def _because(topics: set[str], known: RootCauses) -> str:
    """The failed check of one of these topics; empty if there is none."""
    return next((known[topic] for topic in sorted(topics) if topic in known), "")


def _sample(context: Context, url: str) -> list[DeadLetter]:
    """Up to ten dead letters, which are made visible again at once."""
    messages = context.sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=BATCH_SIZE,
        VisibilityTimeout=SAMPLE_VISIBILITY_TIMEOUT_SECONDS,
        WaitTimeSeconds=WAIT_SECONDS,
        MessageSystemAttributeNames=["SentTimestamp"],
        MessageAttributeNames=["All"],
    ).get("Messages", [])
    if messages:
        entries: Any = [
            {"Id": str(place), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
            for place, message in enumerate(messages)
        ]
        context.sqs.change_message_visibility_batch(QueueUrl=url, Entries=entries)
    return [DeadLetter.of(message) for message in messages]


def _depth(context: Context, url: str) -> int:
    attributes = context.sqs.get_queue_attributes(
        QueueUrl=url,
        AttributeNames=[
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ],
    )["Attributes"]
    return sum(int(count) for count in attributes.values())


def _oldest_late_seconds(context: Context) -> float | None:
    """The age of the oldest late order: the maximum of RecoveryFunction's metric and SQS's metric.

    SQS's metric omits messages that were received more than three times, so all orders that wait long.
    """
    seen = _last_maximum(context, NAMESPACE, Metric.LATE_ORDER_AGE, ("service", context.stack.name), LONGEST_PAUSE)
    ages = [age for age in (seen, _oldest_seconds(context, context.settings.recovery_queue_url)) if age is not None]
    return max(ages, default=None)


def _oldest_seconds(context: Context, url: str) -> float | None:
    """The latest age of the queue's oldest message in CloudWatch; None without data."""
    queue = ("QueueName", url.rpartition("/")[2])
    return _last_maximum(context, "AWS/SQS", "ApproximateAgeOfOldestMessage", queue, timedelta(minutes=15))


def _last_maximum(
    context: Context, namespace: str, metric: str, dimension: tuple[str, str], back: timedelta
) -> float | None:
    now = datetime.fromtimestamp(context.clock(), UTC)
    points = context.cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": dimension[0], "Value": dimension[1]}],
        StartTime=now - back,
        EndTime=now,
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    return max(points, key=lambda point: point["Timestamp"])["Maximum"] if points else None
