"""What rules can do beyond JMESPath, which cannot search text or look for a row by a name without regard to case."""

from __future__ import annotations

import re
from typing import Any

import jmespath
import jmespath.functions

from handler.po_number import find_po_number

LONGEST_TEXT = 8_192
"""Characters of a text that a pattern looks at. `re` looks for the alarm only every few thousand steps, and each step
can be as long as the text: 65,536 digits kept a simple pattern busy for more than a second."""

ANY_NAMESPACE = "*"
ANY: jmespath.functions._Signature = {"types": []}
"""An argument of any type: what a source holds may have any shape, and a wrong one has no value."""


class Functions(jmespath.functions.Functions):
    """The relay's own functions. Those that look for a row give null where there is none."""

    @jmespath.functions.signature({"types": ["string", "null"]}, {"types": ["string"]})
    def _func_first_match(self, text: str | None, pattern: str) -> str | None:
        """The first group of the first match (the whole match where there is no group), or null."""
        found = re.search(pattern, (text or "")[:LONGEST_TEXT])
        return found and found.group(1 if found.re.groups else 0)

    @jmespath.functions.signature({"types": ["string", "null"], "variadic": True})
    def _func_po_number(self, text: str | None, *labels: str) -> str | None:
        """The PO number in a buyer's text, found by the usual labels and the store's own ones, or null."""
        return find_po_number(text, labels) if text else None

    @jmespath.functions.signature({"types": ["array", "null"]}, {"types": ["string"]})
    def _func_form_field(self, fields: list[Any] | None, name: str) -> Any:
        """The value of the form field called `name` in a list of {name, value}, or null."""
        return next((f.get("value") for f in fields or () if isinstance(f, dict) and f.get("name") == name), None)

    @jmespath.functions.signature(ANY, ANY)
    def _func_extra_field(self, fields: Any, name: Any) -> Any:
        """The value of the extra field called `name` in a list of {fieldName, fieldValue}, or null."""
        return _value_of(fields, "fieldValue", fieldName=name)

    @jmespath.functions.signature(ANY, ANY, ANY)
    def _func_metafield(self, metafields: Any, namespace: Any, key: Any) -> Any:
        """The value of the metafield with this key in a list of {namespace, key, value}, or null. '*' is any namespace."""
        if namespace == ANY_NAMESPACE:
            return _value_of(metafields, "value", key=key)
        return _value_of(metafields, "value", namespace=namespace, key=key)

    @jmespath.functions.signature(ANY, ANY)
    def _func_attribute(self, attributes: Any, name: Any) -> Any:
        """The value of the customer attribute called `name` in a list of {attribute_name, attribute_value}, or null."""
        return _value_of(attributes, "attribute_value", attribute_name=name)


OPTIONS = jmespath.Options(custom_functions=Functions())


def _value_of(rows: Any, value: str, **names: Any) -> Any:
    """`value` of the first row that has these names, without regard to case and to spaces around them."""
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and all(_same_name(row.get(key), name) for key, name in names.items()):
            return row.get(value)
    return None


def _same_name(present: Any, wanted: Any) -> bool:
    if not isinstance(present, str) or not isinstance(wanted, str):
        return False
    return present.strip().casefold() == wanted.strip().casefold()
