"""How one simulated store is set up, and which way it turns where BigCommerce's documents leave a question open."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class FieldType(IntEnum):
    """B2B Edition's types of extra fields."""

    TEXT = 0
    MULTI_LINE = 1
    NUMBER = 2
    DROPDOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraField:
    """The configuration of one order extra field."""

    name: str
    required: bool = False
    type: FieldType = FieldType.TEXT
    unique: bool = False
    maximum_length: int = 200
    options: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As `GET /orders/extra-fields` shows it."""
        return {
            "fieldName": self.name,
            "labelName": self.name,
            "fieldType": int(self.type),
            "isRequired": self.required,
            "isUnique": self.unique,
            "maximumLength": str(self.maximum_length),
            "maximumValue": None,
            "listOfValue": list(self.options),
            "visibleToEndUser": True,
        }


@dataclass(slots=True, kw_only=True)
class Store:  # a bag of settings: each attribute is one switch
    """One store: who it is, its secrets (made up), and its answers to the open questions of the API documents."""

    hash: str
    store_id: str = "1025646"
    client_id: str = ""
    access_token: str = ""
    b2b_token: str = ""
    """Empty: `access_token` serves the B2B API, too."""
    client_secret: str = ""
    webhook_header: tuple[str, str] | None = None
    """Custom header (name, value) sent with deliveries to an address given by hand; hooks carry their own."""
    signs_webhooks: bool = True
    missing_scopes: set[str] = field(default_factory=set)
    """`core`, `b2b`, `hooks`: the token is good but lacks the scope, so those endpoints answer 403."""

    company_customers: set[int] = field(default_factory=set)
    """Core customer ids that are company users."""
    extra_fields: tuple[ExtraField, ...] = ()

    rate_limit: int = 150
    rate_window_seconds: float = 60.0
    window_seconds: float = 10.0
    """How long after the order's creation Create Order is accepted."""
    automatic_record_after: float | None = 5.0
    """Seconds until a company order placed through the storefront has its automatic record; None: never."""
    list_lag_seconds: float = 120.0
    """How old a record is before `GET /orders` shows it."""

    data_as_array: bool = False
    """Get Order's `data` is an array, and an error's `data` is `[]`."""
    update_replaces_extra_fields: bool = False
    """Update Order forgets the extra fields it is not given (otherwise: merges)."""
    reject_unknown_fields: bool = False
    """Create and Update Order refuse a field name that is not configured (otherwise: keep it)."""
    create_keeps_buyer_values: bool = False
    """A created record gets what the buyer typed wherever Create Order says nothing (otherwise: that is lost)."""
    create_writes_customer_message: bool = True
    """Create Order writes the PO number into the core order, which fires `store/order/updated`."""
    late_create_without_record: bool = False
    """After the window Create Order is still accepted as long as there is no record."""
    outsider_refusal: tuple[int, str] = (400, "Customer does not belong to any company.")
    """Status and message of Create Order for a customer without a company user: documented nowhere."""

    def __post_init__(self) -> None:
        """Make up what was not given, so that two stores never share a secret by accident."""
        self.client_id = self.client_id or f"{self.hash}-client"
        self.access_token = self.access_token or f"{self.hash}-access-token"
        self.client_secret = self.client_secret or f"{self.hash}-client-secret"

    @property
    def token_for_b2b(self) -> str:
        """The token that the B2B API takes."""
        return self.b2b_token or self.access_token

    def company_of(self, customer_id: int) -> int | None:
        """Return the company of a customer, None for everybody else."""
        return 7000 + customer_id if customer_id in self.company_customers else None
