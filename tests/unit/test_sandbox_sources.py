"""The shipped rules of the store `erp` and the simulated store fit each other: a field from each source."""

import dataclasses
from pathlib import Path

import handler.enrichment
from handler.enrichment import Rules
from handler.outcomes import Created, Skipped
from sandbox.demo.scenarios import ERP_HASH, erp_store
from support.events import STORE_HASH
from support.world import World


def world() -> World:
    """A relay whose only store has the rules and the settings of `erp`."""
    shipped = Path(handler.enrichment.__file__).with_suffix(".toml").read_text(encoding="utf-8")
    rules = Rules.parse(shipped.replace(f"[stores.{ERP_HASH}", f"[stores.{STORE_HASH}"))
    return World(store=dataclasses.replace(erp_store(), hash=STORE_HASH), rules=rules)


def test_one_order_gets_a_field_from_each_source() -> None:
    relay = world()
    relay.place(metafields=[{"namespace": "erp", "key": "route", "value": "N4"}])
    assert isinstance(relay.create(), Created)
    record = relay.record()
    assert record is not None
    assert record.extra_fields == {
        "ERP Id": "C-10047",
        "Buyer role": "Junior Buyer",
        "Tax code": "G",
        "Route": "N4",
        "Licence": "123BAF",
        "SKUs": "PUMP-20, SEAL-8",
    }


def test_the_payment_of_an_invoice_is_skipped() -> None:
    relay = world()
    relay.place(order_type="invoice payment")
    assert isinstance(relay.create(), Skipped)
