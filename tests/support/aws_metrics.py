"""The metrics of AWS's own that this project relies on, with the sets of dimensions under which AWS publishes them.

From the services' user guides: "Available CloudWatch metrics for Amazon SQS", "Types of metrics for Lambda functions",
"Amazon API Gateway dimensions and metrics", "Monitoring Amazon EventBridge" (metrics of a rule on a custom bus carry the
bus as well), "DynamoDB metrics and dimensions".
"""

QUEUE = frozenset({"QueueName"})
FUNCTION = frozenset({"FunctionName"})
STAGE = frozenset({"ApiName", "Stage"})
RULE = frozenset({"EventBusName", "RuleName"})
TABLE = frozenset({"TableName"})

PUBLISHED = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): QUEUE,
    ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible"): QUEUE,
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"): QUEUE,
    ("AWS/SQS", "NumberOfMessagesSent"): QUEUE,
    ("AWS/SQS", "NumberOfMessagesReceived"): QUEUE,
    ("AWS/SQS", "NumberOfEmptyReceives"): QUEUE,
    ("AWS/Lambda", "Invocations"): FUNCTION,
    ("AWS/Lambda", "Errors"): FUNCTION,
    ("AWS/Lambda", "Throttles"): FUNCTION,
    ("AWS/Lambda", "Duration"): FUNCTION,
    ("AWS/Lambda", "DestinationDeliveryFailures"): FUNCTION,
    ("AWS/ApiGateway", "Count"): STAGE,
    ("AWS/ApiGateway", "4XXError"): STAGE,
    ("AWS/ApiGateway", "5XXError"): STAGE,
    ("AWS/ApiGateway", "Latency"): STAGE,
    ("AWS/Events", "InvocationsFailedToBeSentToDlq"): RULE,
    ("AWS/Events", "InvocationsSentToDlq"): RULE,
    ("AWS/DynamoDB", "ConsumedReadCapacityUnits"): TABLE,
    ("AWS/DynamoDB", "ConsumedWriteCapacityUnits"): TABLE,
}
