"""AWS's list prices in us-east-1, in dollars, with their sources. Prices change: look them up again before you rely on them."""

from __future__ import annotations

from dataclasses import dataclass

MILLION = 1_000_000.0


@dataclass(frozen=True)
class Price:
    """A list price of us-east-1, with AWS's own page for it, and where and when the figure was read."""

    dollars: float
    unit: str
    page: str
    read: str


API_REQUEST = Price(
    3.50 / MILLION,
    "REST API request (the first 333 million)",
    "https://aws.amazon.com/api-gateway/pricing/",
    "AWS whitepaper Best Practices for Designing Amazon API Gateway Private APIs, table 4; November 2026",
)
LAMBDA_REQUEST = Price(
    0.20 / MILLION,
    "Lambda request",
    "https://aws.amazon.com/lambda/pricing/",
    "cloudchipr.com/blog/aws-lambda-pricing; November 2026",
)
LAMBDA_GB_SECOND = Price(
    0.0000133334,
    "GB-second of Lambda on arm64 (the first 7.5 billion)",
    "https://aws.amazon.com/lambda/pricing/",
    "cloudchipr.com/blog/aws-lambda-pricing; November 2026",
)
CUSTOM_EVENT = Price(
    1.00 / MILLION,
    "custom event of at most 64 KB on a bus",
    "https://aws.amazon.com/eventbridge/pricing/",
    "cloudburn.io/blog/amazon-eventbridge-pricing of March 2026",
)
ARCHIVED_GB = Price(
    0.10,
    "GB that the archive takes in",
    "https://aws.amazon.com/eventbridge/pricing/",
    "cloudburn.io/blog/amazon-eventbridge-pricing of March 2026",
)
ARCHIVE_GB_MONTH = Price(
    0.023,
    "GB-month in the archive",
    "https://aws.amazon.com/eventbridge/pricing/",
    "cloudburn.io/blog/amazon-eventbridge-pricing of March 2026",
)
QUEUE_REQUEST = Price(
    0.40 / MILLION,
    "request to a standard queue",
    "https://aws.amazon.com/sqs/pricing/",
    "cloudburn.io/blog/amazon-sqs-pricing of March 2026",
)
TABLE_WRITE = Price(
    0.625 / MILLION,
    "write request unit, on demand",
    "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    "airbyte.com/data-engineering-resources/dynamodb-pricing of July 2025, after the cut of November 2024",
)
TABLE_READ = Price(
    0.125 / MILLION,
    "read request unit, on demand",
    "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    "airbyte.com/data-engineering-resources/dynamodb-pricing of July 2025, after the cut of November 2024",
)
TABLE_GB_MONTH = Price(
    0.25 + 0.20,
    "GB-month in the table, with point-in-time recovery",
    "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    "the page itself for the 0.25; the 0.20 for recovery was not found in print again and is an assumption",
)
SECRET_MONTH = Price(
    0.40,
    "secret and month",
    "https://aws.amazon.com/secrets-manager/pricing/",
    "hivebook.wiki, AWS Secrets Manager; November 2026",
)
SECRET_READ = Price(
    0.05 / 10_000,
    "call of Secrets Manager",
    "https://aws.amazon.com/secrets-manager/pricing/",
    "hivebook.wiki, AWS Secrets Manager; November 2026",
)
LOG_GB = Price(
    0.50,
    "GB of log lines (the first 10 TB)",
    "https://aws.amazon.com/cloudwatch/pricing/",
    "factualminds.com, Amazon CloudWatch Pricing, of June 2026",
)
LOG_GB_MONTH = Price(
    0.03,
    "GB-month of kept log lines, compressed",
    "https://aws.amazon.com/cloudwatch/pricing/",
    "hykell.com, Amazon CloudWatch Logs pricing; November 2026",
)
METRIC_MONTH = Price(
    0.30,
    "custom metric and month (the first 10,000)",
    "https://aws.amazon.com/cloudwatch/pricing/",
    "signoz.io/guides/cloudwatch-pricing of February 2026",
)
ALARM_MONTH = Price(
    0.10,
    "metric in an alarm, and month",
    "https://aws.amazon.com/cloudwatch/pricing/",
    "factualminds.com, Amazon CloudWatch Pricing, of June 2026",
)
COMPOSITE_ALARM_MONTH = Price(
    0.50,
    "composite alarm and month",
    "https://aws.amazon.com/cloudwatch/pricing/",
    "factualminds.com, Amazon CloudWatch Pricing, of June 2026",
)
DASHBOARD_MONTH = Price(
    3.00,
    "dashboard and month",
    "https://aws.amazon.com/cloudwatch/pricing/",
    "factualminds.com, Amazon CloudWatch Pricing, of June 2026",
)
KEY_MONTH = Price(
    1.00,
    "key of our own, and month",
    "https://aws.amazon.com/kms/pricing/",
    "wring.co/blog/aws-kms-pricing-guide; November 2026",
)
OUTGOING_GB = Price(
    0.09,
    "GB sent to the internet (the first 10 TB)",
    "https://aws.amazon.com/ec2/pricing/on-demand/",
    "unanswered.io, AWS SQS pricing; November 2026",
)
