"""The deployed stack: its parameters and outputs, read from CloudFormation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from handler.settings import Settings
from relay.errors import CliError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

OUTPUTS = (
    "WebhookUrl",
    "EventBusName",
    "RecoveryQueueUrl",
    "DeadLetterQueueUrl",
    "OrderFunctionName",
    "RecoveryFunctionName",
    "ReconcileFunctionName",
    "IdempotencyTableName",
    "DashboardUrl",
)
"""What this command line needs of a stack; one that lacks some of it was deployed from another version."""

LONGEST_NAME = 41
"""Characters of a stack's name: `CodeDeployHook_<name>-release`, the longest name of a function, may have 64."""

FUNCTIONS = ("OrderFunction", "RecoveryFunction", "ReconcileFunction")
HEALTHY = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})
USABLE = HEALTHY | {
    "UPDATE_IN_PROGRESS",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_ROLLBACK_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
}
"""States in which a stack has resources that can be worked with."""

SETTINGS = {
    "EVENT_BUS_NAME": "EventBusName",
    "RECOVERY_QUEUE_URL": "RecoveryQueueUrl",
    "DEAD_LETTER_QUEUE_URL": "DeadLetterQueueUrl",
    "IDEMPOTENCY_TABLE": "IdempotencyTableName",
    "SECRET_PREFIX": "SecretPrefix",
    "STORE_API_URL": "StoreApiUrl",
    "B2B_API_URL": "B2BApiUrl",
    "LATE_REQUESTS_PER_MINUTE": "LateRequestsPerMinute",
    "RECOVERY_FIRST_DELAY_SECONDS": "RecoveryFirstDelaySeconds",
    "RECOVERY_LONGEST_DELAY_SECONDS": "RecoveryLongestDelaySeconds",
    "GIVE_UP_AFTER_MINUTES": "GiveUpAfterMinutes",
    "REMEMBER_DONE_DAYS": "RememberDoneDays",
}
"""Which of the stack's parameters and outputs the functions know under which name (template.yaml)."""


@dataclass(frozen=True)
class Stack:
    """One deployment of template.yaml."""

    name: str
    status: str
    parameters: dict[str, str]
    outputs: dict[str, str]

    @classmethod
    def read(cls, client: CloudFormationClient, name: str) -> Stack:
        """The stack of this name. Raises CliError when there is none, or none that can be worked with."""
        try:
            found = client.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise CliError(
                f"There is no stack {name} in {client.meta.region_name}.",
                "Choose it with --stack, --region and --profile, or deploy one: make deploy.",
            ) from error
        stack = cls(
            name=name,
            status=found["StackStatus"],
            parameters={p.get("ParameterKey", ""): p.get("ParameterValue", "") for p in found.get("Parameters", [])},
            outputs={o.get("OutputKey", ""): o.get("OutputValue", "") for o in found.get("Outputs", [])},
        )
        missing = [output for output in OUTPUTS if output not in stack.outputs]
        if stack.status not in USABLE or missing:
            lacking = f" and has no {', '.join(missing)}" if missing else ""
            raise CliError(
                f"The stack {name} is in state {stack.status}{lacking}.",
                "Look at its events in the CloudFormation console, then deploy again: make deploy.",
            )
        return stack

    @property
    def settings(self) -> Settings:
        """What the stack's functions are told."""
        known = self.parameters | self.outputs
        known["SecretPrefix"] = known.get("SecretPrefix") or self.name  # as the template has it
        return Settings.from_environment({name: known.get(key, "") for name, key in SETTINGS.items()})

    @property
    def secrets_key(self) -> str:
        """ARN of the KMS key that stores' secrets are encrypted with; empty for AWS's own."""
        return self.parameters.get("SecretsKeyArn", "")

    @property
    def destination(self) -> str:
        """Where the stores' webhooks shall point."""
        return self.parameters.get("CustomWebhookUrl") or self.outputs["WebhookUrl"]

    @property
    def log_groups(self) -> list[str]:
        """Where the functions write their log lines."""
        return [f"/aws/lambda/{self.outputs[f'{function}Name']}" for function in FUNCTIONS]
