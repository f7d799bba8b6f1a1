"""Findings about orders that wait, and about the alarms: mostly consequences of what was found before."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from handler.errors import Cause
from handler.telemetry import NAMESPACE, Metric
from relay.checks import Finding, State, Who
from relay.dead_letters import AT_ONCE, WAIT_SECONDS, DeadLetter
from relay.plain import counted
from relay.timespan import rough

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from relay.context import Context

LONGEST_PAUSE = timedelta(minutes=75)
"""Between two tries of a late order."""

OLD_SECONDS = 1800.0
"""A late order usually takes minutes; one that has waited for longer than this is worth a look."""

SAMPLE_HIDDEN_SECONDS = 20
"""Dead letters that are read here are hidden from others for so long at most."""

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
}
"""What a dead letter's cause can follow from."""

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
    "late-orders-old": {LATE},
    "dead-letters": {DEAD},
    "dead-letters-grow": {DEAD},
}
"""What an alarm can follow from, by its name without the stack's."""

Roots = dict[str, str]
"""What was found wrong by topic, and the name of the check that found it."""


def roots(found: Mapping[str, Sequence[Finding]]) -> Roots:
    """The topics of what was found wrong so far, by section; the first check of each topic."""
    topics: Roots = {}
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


def check_late(context: Context, known: Roots) -> Finding:
    """How many orders are late, for how long, and when they are given up. Raises botocore's errors."""
    waiting = _depth(context, context.settings.recovery_queue_url)
    if not waiting:
        return Finding(LATE, State.GOOD, "none")
    age = _oldest_late_seconds(context)
    gives_up = context.settings.give_up_after_minutes * 60
    what = f"{counted(waiting, 'order')} in the recovery queue; "
    if age is None:
        what += f"since when is not known yet; each is given up {rough(gives_up)} after it became late"
    else:
        what += f"the oldest for {rough(age)}, given up in {rough(gives_up - age)}"
    which = "which, why and until when: relay late list"
    if because := next((known[topic] for topic in (SECRET, TOKEN, OUTAGE) if topic in known), ""):
        return Finding(LATE, State.UNKNOWN, what, which, Who.NOBODY, because)
    if age is not None and age > OLD_SECONDS:
        return Finding(LATE, State.BAD, what, which)
    return Finding(LATE, State.UNKNOWN, what, f"they are tried again and mostly finish; {which}", Who.NOBODY)


def check_dead(context: Context, known: Roots) -> Finding:
    """How many orders wait for a person, with the API's words for some of them. Raises botocore's errors."""
    url = context.settings.dead_letter_queue_url
    dead = _depth(context, url)
    if not dead:
        return Finding(DEAD, State.GOOD, "none")
    age, letters = _oldest_seconds(context, url), _sample(context, url)
    since = "" if age is None else f", the oldest for {rough(age)}"
    alike = Counter((letter.cause, letter.detail) for letter in letters).most_common()
    words = "; ".join(f"{number} x {cause}: {detail}" for (cause, detail), number in alike)
    read = f" of {len(letters)} that were read" if len(letters) < dead else ""
    follow = [_because(CAUSES.get(cause, set()), known) for (cause, _), _ in alike]
    because = follow[0] if follow and all(follow) else ""
    return Finding(
        DEAD,
        State.BAD,
        f"{counted(dead, 'order')} {'waits' if dead == 1 else 'wait'} for a person{since}"
        + (f"; causes{read}: {words}" if words else ""),
        "see them: relay failed list. Once mended: relay failed redrive --all",
        because=because,
    )


def check_alarms(context: Context, known: Roots, found: Sequence[Finding]) -> Iterator[Finding]:
    """Which of the stack's alarms ring; `found` are the findings about late and dead orders. Raises botocore's errors."""
    names = _resources(context, "AWS::CloudWatch::Alarm")
    alarms = context.cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"] if names else []
    if not alarms:
        yield Finding("alarms", State.BAD, "the stack has no alarms: nobody is told of anything", "make deploy")
        return
    known = known | {finding.step: finding.step for finding in found if finding.state is not State.GOOD}
    ringing = [alarm for alarm in alarms if alarm["StateValue"] == "ALARM"]
    for alarm in ringing:
        since = (datetime.fromtimestamp(context.clock(), UTC) - alarm["StateUpdatedTimestamp"]).total_seconds()
        name = alarm["AlarmName"]
        yield Finding(
            "alarms",
            State.BAD,
            f"{name} has been ringing for {rough(since)}",
            alarm.get("AlarmDescription", "") or "docs/runbook.md has a section for it",
            because=_because(ALARMS.get(name.removeprefix(f"{context.stack.name}-"), set()), known),
        )
    if waiting := sum(alarm["StateValue"] == "INSUFFICIENT_DATA" for alarm in alarms):
        yield Finding(
            "alarms",
            State.UNKNOWN,
            f"{waiting} of {len(alarms)} alarms have no data yet",
            "look again some minutes after the deployment",
            Who.NOBODY,
        )
    elif not ringing:
        yield Finding("alarms", State.GOOD, f"none of {len(alarms)} rings")


def check_told(context: Context) -> Finding:
    """Whether anybody is told when an alarm rings. Raises botocore's errors."""
    step = "who is told"
    email = context.stack.parameters.get("AlarmEmail", "")
    topics = _resources(context, "AWS::SNS::Topic")
    if not topics:
        return Finding(step, State.BAD, "the stack has no topic for its alarms: nobody is told", "make deploy")
    topic = topics[0]
    pages = context.sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    subscriptions = [each for page in pages for each in page["Subscriptions"]]
    confirmed = [each for each in subscriptions if each.get("SubscriptionArn", "").startswith("arn:")]
    pending = [
        each.get("Endpoint", "") for each in subscriptions if each.get("SubscriptionArn") == "PendingConfirmation"
    ]
    if pending:
        what = f"not confirmed yet, so not told: {', '.join(pending)}"
        mend = f"open the link in AWS's mail to that address; to have it sent again: {_subscribe(topic, pending[0])}"
        return Finding(step, State.BAD, what, mend)
    if email and email not in {each.get("Endpoint") for each in confirmed}:
        what = f"{email} (AlarmEmail) is not subscribed any more"
        return Finding(step, State.BAD, what, _subscribe(topic, email))
    if confirmed:
        return Finding(step, State.GOOD, f"{counted(len(confirmed), 'subscription')} of the alarms' topic")
    return Finding(
        step,
        State.UNKNOWN,
        "nobody subscribes to the alarms' topic; whether somebody is told in another way is not known",
        "have yourself told: make deploy EMAIL=you@example.com",
    )


def _resources(context: Context, kind: str) -> list[str]:
    """The names or ARNs of the stack's resources of this type."""
    pages = context.cloudformation.get_paginator("list_stack_resources").paginate(StackName=context.stack.name)
    resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
    return [each.get("PhysicalResourceId", "") for each in resources if each["ResourceType"] == kind]


def _subscribe(topic: str, email: str) -> str:
    return f"aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint {email}"


def _because(topics: set[str], known: Roots) -> str:
    """The check that found something of these topics wrong, or nothing."""
    return next((known[topic] for topic in sorted(topics) if topic in known), "")


def _sample(context: Context, url: str) -> list[DeadLetter]:
    """Up to ten dead letters; they are visible to others again at once."""
    messages = context.sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=AT_ONCE,
        VisibilityTimeout=SAMPLE_HIDDEN_SECONDS,
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
    """The age of the oldest late order: as RecoveryFunction last saw it, or of those that it has hardly touched.

    SQS's own figure leaves out what was received more than three times, which is every order that waits for long.
    """
    seen = _last_maximum(context, NAMESPACE, Metric.LATE_ORDER_AGE, ("service", context.stack.name), LONGEST_PAUSE)
    ages = [age for age in (seen, _oldest_seconds(context, context.settings.recovery_queue_url)) if age is not None]
    return max(ages, default=None)


def _oldest_seconds(context: Context, url: str) -> float | None:
    """The age of the queue's oldest message as CloudWatch last saw it, or None when it has not."""
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
