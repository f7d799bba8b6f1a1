"""How one simulated store is set up, and which way it turns where BigCommerce's documents leave a question open."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from sandbox.store.buyers import Buyer


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
    maximum_value: float | None = None
    options: tuple[str, ...] = ()
    label: str = ""
    """Empty: the same as the name."""

    def as_json(self, number: int) -> dict[str, Any]:
        """As `GET /orders/extra-fields` shows it; each setting is there only for the type of field that has it."""
        shown: dict[str, Any] = {
            "id": number,
            "fieldName": self.name,
            "labelName": self.label or self.name,
            "fieldType": int(self.type),
            "isRequired": self.required,
            "isUnique": self.unique,
            "visibleToEnduser": True,
            "configType": 2,
            "defaultValue": "",
        }
        match self.type:
            case FieldType.TEXT:
                shown["maximumLength"] = self.maximum_length
            case FieldType.MULTI_LINE:
                shown["numberOfRows"] = 5
            case FieldType.NUMBER:
                shown["maximumValue"] = self.maximum_value
            case FieldType.DROPDOWN:
                shown["listOfValues"] = list(self.options)
        return shown

    def objection(self, value: str) -> str:
        """What is wrong with a value (a text that is not empty); an empty text when nothing is."""
        match self.type:
            case FieldType.TEXT if len(value) > self.maximum_length:
                return f"{self.name} must not be longer than {self.maximum_length} characters"
            case FieldType.NUMBER:
                try:
                    number = float(value)
                except ValueError:
                    return f"{self.name} must be a number"
                if self.maximum_value is not None and number > self.maximum_value:
                    return f"{self.name} must not be greater than {self.maximum_value:g}"
            case FieldType.DROPDOWN if value not in self.options:
                return f"{self.name} is not one of the options"
        return ""


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
    """`core`, `b2b`, `customers`, `hooks`: the token is good but lacks the scope, so those endpoints answer 403."""

    first_order_id: int = 101
    company_customers: set[int] = field(default_factory=set)
    """Core customer ids that are company users."""
    buyers: dict[int, Buyer] = field(default_factory=dict)
    """What is known of customers, by core customer id; those who are missing have the defaults of `Buyer`."""
    extra_fields: tuple[ExtraField, ...] = ()

    rate_limit: int = 150
    rate_window_seconds: float = 60.0
    core_rate_limit: int = 150
    core_rate_window_seconds: float = 30.0
    window_seconds: float = 10.0
    """How long after the order's creation Create Order is accepted."""
    automatic_record_after: float | None = 5.0
    """Seconds until the checkout posts the record of a company order by itself, with what the buyer typed; None: never.

    Its call is refused when Create Order came first."""

    # What is published nowhere is set as inconvenient as the documents allow. A test that needs more kindness says so.
    read_lag_seconds: float = 0.2
    """How long Get Order goes on showing what was there before a write."""
    order_lag_seconds: float = 0.0
    """How long Create Order answers 404 because B2B Edition has not heard of the order yet."""
    list_lag_seconds: float = 120.0
    """How old a record is before B2B Edition's `GET /orders` shows it."""

    data_as_array: bool = False
    """`data` of Get Order and Update Order is an array, and an error's `data` is `[]`."""
    ids_as_text: bool = False
    """Both APIs show the ids of orders and customers as text."""
    update_replaces_extra_fields: bool = False
    """Update Order forgets the extra fields it is not given (otherwise: merges)."""
    create_writes_customer_message: bool = True
    """Create Order writes the PO number into the core order, which fires `store/order/updated`."""
    late_create_without_record: bool = False
    """After the window Create Order is still accepted as long as there is no record (documented: it is refused)."""
    accepts_second_create: bool = False
    """A record that Create Order made is no obstacle to another one: that replaces it, and counts (documented: refused).

    So a test sees every Create Order that reaches a store whose answers it does not lose."""

    def __post_init__(self) -> None:
        """Make up what was not given, so that two stores never share a secret by accident."""
        self.client_id = self.client_id or f"{self.hash}-client"
        self.access_token = self.access_token or f"{self.hash}-access-token"
        self.client_secret = self.client_secret or f"{self.hash}-client-secret"

    @property
    def token_for_b2b(self) -> str:
        """The token that the B2B API takes."""
        return self.b2b_token or self.access_token

    def shown_id(self, number: int) -> int | str:
        """Return an id as both APIs show it."""
        return str(number) if self.ids_as_text else number

    def company_of(self, customer_id: int) -> int | None:
        """Return the company of a customer, None for everybody else."""
        return 7000 + customer_id if customer_id in self.company_customers else None

    def buyer(self, customer_id: int) -> Buyer:
        """Return what is known of a customer; changing it changes the store."""
        return self.buyers.setdefault(customer_id, Buyer())
