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
"""The outputs that this command line needs; a stack without one of them is another version."""

LONGEST_NAME = 41
"""Characters of a stack name: the longest function name, `CodeDeployHook_<name>-release`, may have 64."""

FUNCTIONS = ("OrderFunction", "RecoveryFunction", "ReconcileFunction")
HEALTHY = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})
USABLE = HEALTHY | {
    "UPDATE_IN_PROGRESS",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_ROLLBACK_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
}
"""States in which the stack's resources can be used."""

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
"""The parameter or output behind each environment variable of the functions (template.yaml)."""


@dataclass(frozen=True)
class Stack:
    """One deployment of template.yaml."""

    name: str
    status: str
    parameters: dict[str, str]
    outputs: dict[str, str]

    @classmethod
    def read(cls, client: CloudFormationClient, name: str) -> Stack:
        """The stack of this name. Raises CliError if there is none, or if its state or version cannot be used."""
        try:
            found = client.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise CliError(
                f"There is no stack {name} in {client.meta.region_name}.",
                "Choose another with --stack, --region and --profile, or deploy one: make deploy.",
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
                "Read its events in the CloudFormation console, then deploy again: make deploy.",
            )
        return stack

    @property
    def settings(self) -> Settings:
        """The settings of the stack's functions."""
        known = self.parameters | self.outputs
        known["SecretPrefix"] = known.get("SecretPrefix") or self.name  # as the template has it
        return Settings.from_environment({name: known.get(key, "") for name, key in SETTINGS.items()})

    @property
    def secrets_key(self) -> str:
        """ARN of the KMS key of the stores' secrets; empty for the AWS managed key."""
        return self.parameters.get("SecretsKeyArn", "")

    @property
    def destination(self) -> str:
        """The URL of the stores' webhooks."""
        return self.parameters.get("CustomWebhookUrl") or self.outputs["WebhookUrl"]

    @property
    def log_groups(self) -> list[str]:
        """The functions' log groups."""
        return [f"/aws/lambda/{self.outputs[f'{function}Name']}" for function in FUNCTIONS]
