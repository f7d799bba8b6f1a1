"""The PO number in buyers' texts: what is one, where it ends, which one wins, and what only mentions one."""

from __future__ import annotations

import time

import pytest

from handler.po_number import END_OF_TEXT, find_po_number, lines

RULE = "-" * 37
"""The buyer portal's line of dashes."""


def block(*inside: str) -> str:
    return "\n".join([RULE, *inside, RULE])


@pytest.mark.parametrize(
    ("text", "po_number"),
    [
        # The checkout's own label, as it is and renamed
        ("PO Number / Reference Number: 04152025-0002", "04152025-0002"),
        ("PO Number / Reference Number 1: 7", "7"),
        ("PO Number / Reference #: 7", "7"),
        ("PO Number/Reference Number : 7", "7"),
        ("PO Number | Reference Number: 7", "7"),
        ("PO Number / Reference Number (required): 7", "7"),
        ("PO Number / Reference Number: ask Smith, please", "ask Smith, please"),
        ("PO / Referenz: 7", "7"),
        ("PO / Référence: 7", "7"),
        ("Reference / PO Number: 7", "7"),
        ("PO and Reference Number: 7", "7"),
        ("Purchase Order / Job: 7", "7"),
        # The usual wordings
        ("PO: 4711", "4711"),
        ("po:4711", "4711"),
        ("P.O.: 4711", "4711"),
        ("P.O: 4711", "4711"),
        ("P/O: 4711", "4711"),
        ("P O Number: 4711", "4711"),
        ("PO Number: 4711", "4711"),
        ("PO No.: 4711", "4711"),
        ("P.O. No. 4711", "4711"),
        ("PO Nr: 4711", "4711"),
        ("PO-Nr.: 4711", "4711"),
        ("PO Num = 4711", "4711"),
        ("PO # 4711", "4711"),
        ("PO#4711", "4711"),
        ("PO #: 4711", "4711"),
        ("PO #1: 4711", "4711"),
        ("PO# 12-ABC rev B", "12-ABC rev B"),
        ("PO# VERBAL", "VERBAL"),
        ("PO Ref: 4711", "4711"),
        ("PO Reference Number: A 7", "A 7"),
        ("PONumber: 4711", "4711"),
        ("po_number=4711", "4711"),
        ('"PO Number": "4711"', "4711"),
        ("PURCHASE ORDER: 4711", "4711"),
        ("Purchase Order Number (required): X", "X"),
        ("Purchase Order (PO) Number: 4711", "4711"),
        ("Purch. Order No.: AB 12", "AB 12"),
        ("purchase-order # 4711", "4711"),
        ("Customer PO #: 4711", "4711"),
        ("Our PO number is 4711.", "4711"),
        ("Note: PO# 4711", "4711"),
        # Without a colon
        ("PO 4711", "4711"),
        ("PO-4711", "PO-4711"),
        ("PO4711", "PO4711"),
        ("PO Number: PO-4711", "PO-4711"),
        ("PO - 4711", "4711"),
        ("PO \N{EN DASH} 4711", "4711"),
        ("PO\N{EM DASH}4711", "4711"),
        ("PO Number - AB 4711", "AB 4711"),
        ("Bestellung\nPO Number-4711", "4711"),
        ("PO Number\t4711", "4711"),
        ("PO No:- 4711", "4711"),
        ("PO Number\N{FULLWIDTH COLON} 4711", "4711"),
        ("\uff30\uff2f\uff1a4711", "4711"),
        # What surrounds it
        ("  * PO Number:  A   7  ", "A 7"),
        ("**PO Number:** 4711", "4711"),
        ("2. PO: 4711", "4711"),
        ("(PO# 4711)", "4711"),
        ("PO: 4711, please deliver on Monday", "4711"),
        ("PO: 4711. Thanks!", "4711"),
        ("PO: 4711 and 4712", "4711 and 4712"),
        ("PO: 45-0001 / 45-0002", "45-0001 / 45-0002"),
        ("PO: Smith Job 12", "Smith Job 12"),
        ("PO: IT 4500", "IT 4500"),
        ("PO Number: VERBAL", "VERBAL"),
        # Characters
        ("PO Number: A&amp;B-12", "A&B-12"),
        ("PO Number: A&amp;amp;B-12", "A&B-12"),
        ("PO Number&#58;&nbsp;A&#x2F;7", "A/7"),
        ("PO Number: A&B;12&ampersand;7", "A&B;12&ampersand;7"),
        ("PO Number: \U0001f69a-7", "\U0001f69a-7"),
        ("PO Number: \U0001f469\u200d\U0001f4bb7", "\U0001f469\u200d\U0001f4bb7"),
        ("PO Number / Reference Number: \U0001f69a", "\U0001f69a"),
        ("\ufeffPO\u00a0Num\u200bber\u2009:\u00a0A\u202f7\u200e", "A 7"),
    ],
)
def test_a_labelled_number_is_read(text: str, po_number: str) -> None:
    assert find_po_number(text) == po_number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Leave at the gate.",
        # Sentences that mention one
        "Please send the PO number by mail",
        "Please send PO: 4711 by mail",
        "Our PO: will follow tomorrow, please wait",
        "PO: will follow in 2 days",
        "PO: WILL FOLLOW IN 2 DAYS",
        "PO: call 5551234",
        "PO number: I'll send it",
        "PO: please see attached",
        "PO number please",
        "PO 12 will be sent",
        "The PO number 4711 was cancelled",
        "PO# 4711 was cancelled",
        "PO Number - 4711 is the old one",
        "Purchase orders must be 12 pt",
        "Purchase order: net 30",
        "Is there a PO number? 12",
        "PO Number / Reference Number is required for shipping to the site: 12",
        "no PO",
        # Something else
        "P.O. Box 12",
        "PO Box 4711",
        "PO Box: 4711",
        "P.O.Box: 12",
        "PO-Box12",
        "PO: Box 12",
        "Deliver to PO Box: 77",
        "Ship to PO/Box 12",
        "Apollo: 12",
        "depot: 5",
        "Tempo: 1",
        "POS: 12",
        "P.O.S. 12",
        "PO Date: 12.05.2025",
        "PO total: 500",
        "PO $500",
        "Quote#: 12",
        "Reference Number 2: 8",
        "po-12@example.com",
        "PO: po12@example.com",
        "PO: https://example.com/po12.pdf",
        "po.example.com/12",
        # No value
        "PO Number / Reference Number:",
        "PO Number / Reference Number:\nThanks",
        "PO Number / Reference Number: TBD",
        "PO Number / Reference Number: to be confirmed by John",
        "PO Number / Reference Number: N/A - will email",
        "PO Number: n.a.",
        "PO Number: (none)",
        "PO Number: -",
        "PO Number: ***",
        "PO: ?",
        "PO: \u200b",
        "PO Number:\n4711",
    ],
)
def test_what_only_mentions_a_number_gives_none(text: str) -> None:
    assert find_po_number(text) is None


@pytest.mark.parametrize(
    "line_end",
    [
        "\n", "\r\n", "\r", "\v", "\f", "\x1e", "\u0085", "\u2028", "\u2029", "\n\n",
        "<br>", "<br/>", "<br />", "<BR>", '<br class="x">', "</p><p>", "</div>\n<div>", "&lt;br&gt;", "&#10;", "&#13;&#10;",
        "/n", "/r/n", "/n/n", "\\n", "\\r\\n",
    ],
)  # fmt: skip
def test_the_number_ends_where_its_line_ends(line_end: str) -> None:
    text = line_end.join(["Gate 5", "PO Number / Reference Number: A 7", "Quote#: 12", "Ring twice"])

    assert find_po_number(text) == "A 7"


@pytest.mark.parametrize(
    ("text", "po_number"),
    [
        ("Gate 5/nPO: 7/nplease ring", "7"),
        ("gate 5/nour po: 7", "7"),
        (f"Gate 5/n{RULE}/nPO Number / Reference Number: A/n{RULE}", "A"),
        ("PO: 12/north", "12/north"),
        ("PO: 12/nyc", "12/nyc"),
        ("PO Number: A/n12", "A/n12"),
        ("PO: 12, s/n 5", "12, s/n 5"),
        ("PO/number: 7", "7"),
        ("po/no: 7", "7"),
        ("PO/Nr: 7", "7"),
        ("PO Number / Reference Number: https://example.com/news/7", "https://example.com/news/7"),
    ],
)
def test_a_slash_and_an_n_end_a_line_where_they_are_not_part_of_a_word(text: str, po_number: str) -> None:
    assert find_po_number(text) == po_number


@pytest.mark.parametrize(
    ("text", "po_number"),
    [
        # The last block between lines of dashes
        ("PO Number: 1\n" + block("PO Number / Reference Number: 7", "Quote#: 5"), "7"),
        ("PO Number / Reference Number: 1\n" + block("PO: 7"), "7"),
        (block("PO Number / Reference Number: 7") + "\nPO Number / Reference Number: 1", "7"),
        (block("PO: 1") + "\n" + block("PO: 7"), "7"),
        ("---\nPO Number: 1\n" + block("PO: 7"), "7"),
        (block("PO: 7") + "\n" + block("Quote#: 5"), "7"),
        ("PO: 7\n" + block("Quote#: 5"), "7"),
        (f"Gate 5 {RULE} PO Number / Reference Number: 7 {RULE}", "7"),
        (f"{RULE}\nPO: 1\nPO Number: 7", "7"),
        # The most specific label, then the last line
        ("PO Number / Reference Number: 7\nPO Number: 1\nPO: 2", "7"),
        ("PO: 1\nPurchase Order Number: 7\nPO: 2", "7"),
        ("PO: 1\nPO: 7", "7"),
        # A placeholder never wins
        ("PO Number: tbd\n" + block("PO Number / Reference Number: 7"), "7"),
        ("PO: 7\n" + block("PO Number / Reference Number: tbd"), "7"),
        ("PO Number / Reference Number: n/a\nPO: 7", "7"),
        # Decoys
        ("Deliver to PO Box: 77\nCall about the PO: now\nPO Number / Reference Number: 7\nQuote#: PO 12", "7"),
        ("PO: 7\nPO Box: 12\nPO Date: 1.2.25\nApollo: 3", "7"),
        ("PO Number / Reference Number 1: 7\nReference Number 2: 8", "7"),
        ("PO Number / Reference Number: 7 Quote#: 12", "7"),
    ],
)
def test_the_checkouts_line_wins_over_the_buyers_own_words(text: str, po_number: str) -> None:
    assert find_po_number(text) == po_number


@pytest.mark.parametrize(
    ("text", "label", "po_number"),
    [
        ("Bestellnummer: 4711", "Bestellnummer", "4711"),
        ("bestellnummer: siehe Herr Maier", "Bestellnummer", "siehe Herr Maier"),
        ("Bestellnummer 4711", "Bestellnummer:", "4711"),
        ("Unsere  Nr. (intern): 7", "Unsere Nr.", "7"),
        ("Order Ref\N{FULLWIDTH COLON} 7", "Order Ref", "7"),
        ("Re\N{COMBINING ACUTE ACCENT}f. client: 7", "R\u00e9f. client", "7"),
        ("Order # 7", "Order #", "7"),
        ("注文番号\N{FULLWIDTH COLON}7", "注文番号", "7"),
        ("PO Number / Reference Number: 1\nBestellnummer: 7\nPO: 2", "Bestellnummer", "7"),
        ("Bestellnummer: 7\n" + block("PO Number / Reference Number: 1"), "Bestellnummer", "7"),
        ("Bestellnummer: 1\n" + block("Bestellnummer: 7"), "Bestellnummer", "7"),
        ("Bestellnummer:\nPO: 7", "Bestellnummer", "7"),
        ("Bestellnummern: 4711", "Bestellnummer", None),
        ("Bestellnummer folgt", "Bestellnummer", None),
        ("Die Bestellnummer: 4711", "Bestellnummer", None),
        ("PO Box 12", "PO", None),
    ],
)
def test_a_stores_own_label_wins_and_is_followed_by_anything(text: str, label: str, po_number: str | None) -> None:
    assert find_po_number(text, (label,)) == po_number


def test_a_label_and_a_longer_one_that_begins_with_it_are_both_known() -> None:
    assert find_po_number("Order Ref No: 7", ("Order", "Order Ref No")) == "7"


def test_both_ends_of_a_long_text_are_read_and_no_half_line() -> None:
    long = "x" * 100_000

    assert find_po_number(f"PO: 7\n{long}") == "7"
    assert find_po_number(f"{long}\nPO Number / Reference Number: 7") == "7"
    assert find_po_number(f"{long}<br>PO Number / Reference Number: 7") == "7"
    assert find_po_number(f"PO: {long}") is None
    assert find_po_number(f"{long}\n{'x' * 100}PO: 7{'x' * (END_OF_TEXT - 5)}") is None


def test_lines_know_their_block_between_dashes() -> None:
    text = "a\n---\nb\n \n-----\nc"

    assert [(line.text, line.block) for line in lines(text)] == [("a", 0), ("b", 1), ("c", 0)]


@pytest.mark.parametrize(
    "unit",
    [
        "-", "PO ", "PO\n", "PO: 1\n", "PO: x ", "PO / a", "PO (", "P.", "PO no ", "7", " ", "\t", "&", "&amp;", "&#1;", "<",
        "<br", "<p ", "/n", "\\n", "a\n", "---\n", "quote #", "please ", "purchase ", "ref ", "our ", "*", "\u200d", "\U0001f69a",
    ],
)  # fmt: skip
def test_a_text_four_times_as_long_takes_no_more_than_some_four_times_the_work(unit: str) -> None:
    def seconds(length: int) -> float:
        text, best = (unit * length)[:length], 1e9
        for _ in range(5):
            start = time.thread_time()
            find_po_number(text)
            best = min(best, time.thread_time() - start)
        return best

    assert seconds(8192) < 9 * seconds(2048)  # a square would be 16
