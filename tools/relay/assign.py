"""`relay assign`: brings an order that was placed before its buyer had a company to the company, with its record's values."""

from __future__ import annotations

from typing import Any

from handler.bigcommerce.store_api import date_created
from handler.deadline import Deadline
from handler.desired import GUEST
from relay.backfill import LOOK_UP_SECONDS, queue_order
from relay.command import DryRunOption, OrderArgument, StoreOption, YesOption, confirm
from relay.context import Context
from relay.errors import CliError
from relay.idempotency_records import order_states
from relay.text import counted


def assign(
    context: Context, order: OrderArgument, *, store: StoreOption, dry_run: DryRunOption = False, yes: YesOption = False
) -> bool:
    """Assign an order to the buyer's company, for orders from before the company was approved.

    BigCommerce assigns all orders of the buyer that have no company yet, not
    only this one. It adds no PO number and no extra fields: the late path
    then does that for this order. To do it for the buyer's other orders, use
    `relay backfill --again`.

    Examples:
      relay assign 1042 --store abc123 --dry-run
      relay assign 1042 --store abc123
    """
    found = context.store_api.get_order(store, order, Deadline.after(LOOK_UP_SECONDS, context.clock))
    customer = found["customer_id"]
    if customer == GUEST:
        raise CliError(f"Order {order} is a guest's; it has no buyer to assign.", "Nothing was changed.")
    if not context.b2b_api.has_company_user(store, customer, context.deadline()):
        raise CliError(
            f"The buyer of order {order} (customer {customer}) belongs to no company.",
            "Approve the company or add the buyer to it in B2B Edition first. Nothing was changed.",
        )
    has_record = context.b2b_api.get_record(store, order, context.deadline()) is not None
    value: dict[str, Any] = {"store": store, "order": order, "customer": customer, "had_record": has_record}
    if has_record:
        will = f"Order {order} has a B2B record already, so no order is assigned. The late path completes its record."
    else:
        will = f"All orders of customer {customer} without a company are assigned to the buyer's company."
        will += f" The late path then completes the record of order {order}."
    if dry_run:
        context.show(value | {"done": False}, lambda: context.out.print(will, soft_wrap=True))
        return True
    confirm(f"{will} Continue?", yes=yes)
    assigned = 0 if has_record else context.b2b_api.assign_orders(store, customer, context.deadline())
    known = order_states(context, store, [order])[order]
    queued = not known.in_progress and queue_order(
        context, store, order, date_created(found) or context.clock(), finished=known.finished is not None
    )
    value |= {"done": True, "assigned": assigned, "queued": queued}

    def print_text() -> None:
        if not has_record:
            context.out.print(
                f"[green]✓[/] {counted(assigned, 'order')} of customer {customer} assigned.", soft_wrap=True
            )
        if queued:
            context.out.print(
                f"[green]✓[/] Order {order} was sent to the late path: relay status {order} --store {store}"
            )
        else:
            context.out.print(
                f"[yellow]![/] Order {order} is being processed. In a minute: relay backfill --store {store} "
                f"--order {order} --again"
            )

    context.show(value, print_text)
    return True
