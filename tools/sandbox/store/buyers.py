"""What a store knows of one customer: the customer's account, company user and company. All of it can be changed while the store runs."""

from dataclasses import dataclass, field
from typing import Any


def _row(name: str, value: Any) -> dict[str, Any]:
    return {"fieldName": name, "fieldValue": value}


@dataclass(slots=True, kw_only=True)
class Buyer:
    """One customer. A company and a company user are shown only if the customer is one of `Store.company_customers`.

    With the defaults, the rules that the documents show as examples find a value.
    """

    company_name: str = "Example Industries"
    """The same for all buyers unless changed: nobody can find a company by its name."""
    company_status: str = "1"
    """0 pending, 1 approved, 2 rejected, 3 inactive."""
    company_uuid: str = ""
    company_extra_fields: dict[str, Any] = field(default_factory=lambda: {"ERP ID": "C-10047"})
    group_id: int = 3
    group_name: str = "Tier 3 B2B Clients"
    """The customer group; B2B Edition shows it as `bcGroupName`."""
    parent_company: dict[str, Any] = field(default_factory=dict)
    """`id` and `name`; empty: the company has no parent."""

    role: int = 2
    """0 admin, 1 senior buyer, 2 junior buyer."""
    role_name: str = "Junior Buyer"
    user_extra_fields: dict[str, Any] = field(default_factory=dict)

    attributes: dict[str, str] = field(default_factory=lambda: {"Tax code": "G"})
    """Customer attributes by name. The customer itself shows only their ids."""
    form_fields: dict[str, Any] = field(default_factory=dict)
    """Values are text, a number or a list of texts."""
    notes: str = ""

    def company_json(self, company_id: int | str, *, extra_fields: bool) -> dict[str, Any]:
        """Show the company as B2B Edition does (b2b-edition/specs/api-v3/company/company.yaml, companyData_RESPONSE)."""
        shown: dict[str, Any] = {
            "companyId": company_id,
            "companyName": self.company_name,
            "companyStatus": self.company_status,
            "companyEmail": "office@example.com",
            "companyPhone": "+1 512 555 0100",
            "catalogId": "",
            "catalogName": "",
            "bcGroupId": self.group_id,
            "bcGroupName": self.group_name,
            "parentCompany": dict(self.parent_company),
            "priceListAssign": [],
            "uuid": self.company_uuid,
            "createdAt": "1700000000",
            "updatedAt": "1700000000",
        }
        if not extra_fields:
            return shown
        settings = {"isRequired": "0", "dataType": "0", "fieldType": 0}
        rows = [_row(name, value) | {"labelName": name} | settings for name, value in self.company_extra_fields.items()]
        return shown | {"extraFields": rows}

    def user_json(self, customer_id: int, shown_id: int | str, company_id: int) -> dict[str, Any]:
        """Show the company user as B2B Edition does (b2b-edition/specs/api-v3/user/user.yaml, userResponse)."""
        return {
            "id": 800_000 + customer_id,
            "firstName": "Ada",
            "lastName": "Buyer",
            "email": "ada.buyer@example.com",
            "phoneNumber": "",
            "role": self.role,
            "companyRoleId": 10,
            "companyRoleName": self.role_name,
            "uuid": "",
            "extraFields": [_row(name, value) for name, value in self.user_extra_fields.items()],
            "companyId": company_id,
            "customerId": shown_id,
            "channelList": [],
            "createdAt": 1_700_000_000,
            "updatedAt": 1_700_000_000,
        }
