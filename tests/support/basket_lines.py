"""What the kiosk's page shows in its basket, and the end of a visit."""

from __future__ import annotations

LINES = "[...document.querySelectorAll('.line')].map(e => [Number(e.dataset.line), Number(e.querySelector('.quantity [aria-hidden]').textContent)])"


def total(page) -> str:
    return page.run("document.querySelector('.total-money strong').textContent")


def expect_lines(page, *lines: tuple[int, int], total_text: str | None = None) -> None:
    """The basket holds (id, how many), in this order."""
    wanted = [list(one) for one in lines]
    page.wait(f"JSON.stringify({LINES}) === {str(wanted).replace(' ', '')!r}")
    if total_text is not None:
        assert total(page) == total_text


def send(page) -> None:
    page.click("[data-key=finish]")
    page.click("#dialog button", "Yes, finish")
    page.wait_text("#dialog", "Thank you!")


def sold(receipt) -> list[tuple[int, int]]:
    return [(one["id"], one["quantity"]) for one in receipt["items"]]
