"""The page's modules by themselves, in the browser that runs them."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

pytestmark = pytest.mark.requires("chromium", "serve")


@pytest.fixture
def module(kiosk, tab):
    """Runs an expression in which ``m`` is the module."""
    service = kiosk()
    page = tab()
    page.open(service.url + "/page.json")
    page.wait("document.readyState === 'complete' && location.pathname === '/page.json'")
    return lambda name, expression: page.run(f"import('/static/modules/{name}.js').then(async m => ({expression}))")


# ---- money ----


@pytest.mark.parametrize(
    ("text", "currency", "units"),
    [
        ("1.29", "EUR", 129),
        ("10", "EUR", 1000),
        ("0.5", "EUR", 50),
        ("1.290", "EUR", 129),
        ("300", "JPY", 300),
        ("1.234", "KWD", 1234),
        ("9999999999.99", "EUR", 999999999999),
        ("1.299", "EUR", None),  # finer than a cent
        ("0.5", "JPY", None),
        ("-1.00", "EUR", None),
        ("1,29", "EUR", None),
        ("1e3", "EUR", None),
        ("", "EUR", None),
        (None, "EUR", None),
    ],
)
def test_prices_are_read_digit_by_digit(module, text, currency, units):
    assert module("money", f"m.parsePrice({json.dumps(text)}, '{currency}')") == units


def test_amounts_travel_as_decimals(module):
    """Against Python's Decimal."""
    cases = [
        (currency, digits, units)
        for currency, digits in (("EUR", 2), ("JPY", 0), ("KWD", 3))
        for units in (0, 5, 29, 129, 100000, 2**53 - 1)
    ]
    found = module("money", f"{json.dumps(cases)}.map(([currency, , units]) => m.decimal(units, currency))")
    assert found == [str(Decimal(units).scaleb(-digits)) if units else f"{0:.{digits}f}" for _, digits, units in cases]


def test_large_amounts_lose_no_cent(module):
    assert module("money", "m.formatMoney(999999999999999, 'EUR', 'en')") == "€9,999,999,999,999.99"


@pytest.mark.parametrize(
    ("text", "currency", "units"),
    [
        ("1,29", "EUR", 129),
        ("1.29", "EUR", 129),
        ("1000", "JPY", 1000),
        ("1,234", "KWD", 1234),
        ("1,000", "JPY", None),  # thousands, or a fraction?
        ("1.000", "JPY", None),
        ("1,500", "EUR", None),
        ("1.500", "EUR", None),
        ("1,000,000", "EUR", None),
    ],
)
def test_prices_that_people_write(module, text, currency, units):
    assert module("money", f"m.writtenPrice('{text}', '{currency}')") == units


# ---- server-sent events ----


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_events_are_read_however_they_are_cut(module, size, end):
    """Pieces of ``size`` bytes, which cut a character of several bytes and the two of a line's end."""
    lines = [
        "retry: 2000",
        "",
        ":",
        "",
        "id: 1f-7",
        "event: removed",
        'data: {"name":',
        'data:  "Grün 茶"}',
        "",
        "data: unfinished",
    ]
    text = json.dumps(end.join(lines))
    stream = (
        f"new Response(new ReadableStream({{ start(c) {{ const b = new TextEncoder().encode({text});"
        f"for (let i = 0; i < b.length; i += {size}) c.enqueue(b.slice(i, i + {size})); c.close() }} }}))"
    )
    found = module(
        "event_stream",
        f"await (async () => {{ const all = []; for await (const e of m.readEvents({stream})) all.push(e); return all }})()",
    )
    assert found == [{"comment": True}, {"event": "removed", "data": '{"name":\n "Grün 茶"}', "id": "1f-7"}]


# ---- what lies there ----

APPLE, PEAR = {"id": 1, "name": "apple", "score": 0.99}, {"id": 2, "name": "pear", "score": 0.99}


def visit(module, *steps, gives="[added, v.questions.length, v.lying?.phase ?? null]") -> list:
    """Runs steps at a Visit: (event, place, now in ms), ("carry", now), ("leave",) or ("correct", place, product). What was to be added, how many
    questions are open, and what is shown, unless ``gives`` asks for something else."""
    return module(
        "visit",
        f"""(() => {{ const v = new m.Visit(); const added = []; let left = [];
        for (const [what, place, now] of {json.dumps(steps)}) {{
          if (what === 'carry') {{ v.carry(place); continue }}
          if (what === 'leave') {{ left = v.leave(); continue }}
          if (what === 'correct') {{ v.correct(place, now); continue }}
          const product = v.take(what, place, place + what.event, now);
          if (product) added.push(product.id);
        }}
        return {gives} }})()""",
    )


PLACED, REMOVED, UNKNOWN = {"event": "placed"}, {"event": "removed"}, {"event": "unknown"}
IS_APPLE, IS_PEAR = {"event": "recognised", "product": APPLE}, {"event": "recognised", "product": PEAR}
UNSURE = {"event": "unsure", "choices": [APPLE, PEAR]}


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(PLACED, "a/1", 0)], [[], 0, "looking"]),
        ([(PLACED, "a/1", 0), (IS_APPLE, "a/1", 1)], [[1], 0, "known"]),
        ([(PLACED, "a/1", 0), (IS_APPLE, "a/1", 1), (REMOVED, "a/1", 2)], [[1], 0, None]),
        (
            [(PLACED, "a/1", 0), (IS_APPLE, "a/1", 1), (REMOVED, "a/1", 2), (PLACED, "a/2", 3), (IS_APPLE, "a/2", 4)],
            [[1, 1], 0, "known"],
        ),
        ([(PLACED, "a/1", 0), (UNSURE, "a/1", 1), (REMOVED, "a/1", 2)], [[], 1, None]),
        # a new connection, and the same product again under a new number: it was added already
        ([(IS_APPLE, "a/4", 0), ("carry", 1, 0), (PLACED, "b/1", 2), (IS_APPLE, "b/1", 3)], [[1], 0, "known"]),
        # another product
        ([(IS_APPLE, "a/4", 0), ("carry", 1, 0), (PLACED, "b/1", 2), (IS_PEAR, "b/1", 3)], [[1, 2], 0, "known"]),
        # the next of the same kind
        (
            [(IS_APPLE, "a/4", 0), ("carry", 1, 0), (IS_APPLE, "b/1", 3), (REMOVED, "b/1", 4), (IS_APPLE, "b/2", 5)],
            [[1, 1], 0, "known"],
        ),
        # the service went on, and this is the next placement
        ([(IS_APPLE, "a/4", 0), ("carry", 1, 0), (REMOVED, "a/4", 2), (IS_APPLE, "a/5", 3)], [[1, 1], 0, "known"]),
        ([(IS_APPLE, "a/4", 0), ("carry", 1, 0), (PLACED, "a/5", 2), (IS_APPLE, "a/5", 3)], [[1, 1], 0, "known"]),
        # long after
        ([(IS_APPLE, "a/4", 0), ("carry", 1, 0), (IS_APPLE, "b/1", 40_000)], [[1, 1], 0, "known"]),
        # a question that is open stays one question
        ([(UNSURE, "a/4", 0), ("carry", 1, 0), (PLACED, "b/1", 2), (UNSURE, "b/1", 3)], [[], 1, "asked"]),
        ([(UNKNOWN, "a/4", 0), ("carry", 1, 0), (UNKNOWN, "b/1", 3)], [[], 1, "asked"]),
        # several lie there: each is told once more, in any order, and a third of one kind is new
        (
            [
                (IS_APPLE, "a/1", 0),
                (IS_PEAR, "a/2", 1),
                ("carry", 2, 0),
                (PLACED, "b/1", 3),
                (IS_PEAR, "b/1", 4),
                (IS_APPLE, "b/2", 5),
            ],
            [[1, 2], 0, "known"],
        ),
        (
            [
                (IS_APPLE, "a/1", 0),
                (IS_APPLE, "a/2", 0),
                ("carry", 1, 0),
                *((IS_APPLE, f"b/{k}", 2) for k in (1, 2, 3)),
            ],
            [[1, 1, 1], 0, "known"],
        ),
        (
            [(UNSURE, "a/1", 0), (IS_PEAR, "a/2", 0), ("carry", 1, 0), (IS_PEAR, "b/1", 2), (UNSURE, "b/2", 3)],
            [[2], 1, "known"],
        ),
        # what comes between does not end it
        (
            [(IS_APPLE, "a/1", 0), ("carry", 1, 0), (UNKNOWN, "b/1", 2), (IS_PEAR, "b/2", 3), (IS_PEAR, "b/3", 4)],
            [[1, 2, 2], 0, "known"],
        ),
        (
            [
                (IS_APPLE, "a/1", 0),
                (IS_PEAR, "a/2", 0),
                ("carry", 1, 0),
                (UNKNOWN, "b/1", 2),
                (IS_PEAR, "b/2", 3),
                (IS_APPLE, "b/3", 4),
            ],
            [[1, 2], 1, "asked"],
        ),
        # one was taken away before; the other is not told a second time
        (
            [
                (IS_APPLE, "a/1", 0),
                (IS_PEAR, "a/2", 0),
                (REMOVED, "a/2", 1),
                ("carry", 2, 0),
                (IS_APPLE, "b/1", 3),
                (IS_PEAR, "b/2", 4),
            ],
            [[1, 2, 2], 0, "known"],
        ),
        # and once more
        (
            [
                (IS_APPLE, "a/1", 0),
                ("carry", 1, 0),
                (IS_APPLE, "b/1", 2),
                ("carry", 90_000, 0),
                (IS_APPLE, "c/1", 90_001),
            ],
            [[1], 0, "known"],
        ),
        # the shopper corrected it; the model says the same as before, or has learnt
        ([(IS_APPLE, "a/1", 0), ("correct", "a/1", PEAR), ("carry", 1, 0), (IS_APPLE, "b/1", 2)], [[1], 0, "known"]),
        ([(IS_APPLE, "a/1", 0), ("correct", "a/1", PEAR), ("carry", 1, 0), (IS_PEAR, "b/1", 2)], [[1], 0, "known"]),
        # the shopper left: what was placed before is nobody's, when it is told again too, and what is placed from then on is the next one's
        ([(PLACED, "a/1", 0), ("leave",), (IS_APPLE, "a/1", 1)], [[], 0, "asked"]),
        ([(PLACED, "a/1", 0), ("leave",), (UNSURE, "a/1", 1)], [[], 0, "asked"]),
        ([(PLACED, "a/1", 0), ("leave",), (PLACED, "a/2", 1), (IS_APPLE, "a/2", 2)], [[1], 0, "known"]),
        ([(PLACED, "a/1", 0), ("leave",), (IS_APPLE, "a/1", 1), ("carry", 2), (IS_APPLE, "b/1", 3)], [[], 0, "asked"]),
        # at another station
        ([(IS_APPLE, "a/till/1", 0), ("carry", 1, 0), (IS_APPLE, "b/shelf/1", 2)], [[1, 1], 0, "known"]),
        # events of a newer service
        ([({"event": "stations"}, "a/0", 0), ({"event": "gap"}, "a/0", 0)], [[], 0, None]),
    ],
)
def test_what_is_added(module, steps, expected):
    assert visit(module, *steps) == expected


@pytest.mark.parametrize(
    ("steps", "told", "added"),
    [
        # something was missed, or the connection is another: what lay there unnamed is still the former shopper's
        ([(PLACED, "a/5", 0), ({"event": "gap"}, "a/0", 1), ("leave",), (IS_APPLE, "a/5", 2)], 1, []),
        ([(PLACED, "a/1", 0), ("leave",), ("carry", 1), (PLACED, "b/1", 2), (IS_APPLE, "b/1", 3)], 1, []),
        ([(PLACED, "a/1", 0), ("carry", 1), ("leave",), (UNSURE, "b/1", 3)], 1, []),
        # once, and not for long
        ([(PLACED, "a/1", 0), ("leave",), ("carry", 1), (IS_APPLE, "b/1", 3), (IS_PEAR, "b/2", 4)], 1, [2]),
        ([(PLACED, "a/1", 0), ("leave",), ("carry", 1), (IS_APPLE, "b/1", 40_000)], 0, [1]),
        # nobody left
        ([(PLACED, "a/5", 0), ({"event": "gap"}, "a/0", 1), (IS_APPLE, "a/5", 2)], 0, [1]),
    ],
)
def test_what_the_shopper_before_left(module, steps, told, added):
    """``told``: how much was told of it, for a shopper who stays after all."""
    assert visit(module, *steps, gives="[v.stay(left).length, added]") == [told, added]


SECOND_PLACED = [(IS_APPLE, "a/1", 0), (PLACED, "a/2", 1), ("carry", 2)]
TWO_LAY_THERE = [(IS_APPLE, "a/1", 0), (IS_PEAR, "a/2", 1), ("carry", 2)]
APPLE_AGAIN = [(PLACED, "b/1", 3), (IS_APPLE, "b/1", 4)]


@pytest.mark.parametrize(
    ("steps", "place", "is_looking"),
    [
        ([(PLACED, "a/1", 0)], "a/1", True),
        ([(PLACED, "a/1", 0), (PLACED, "a/2", 0), (IS_APPLE, "a/2", 1)], "a/2", True),
        ([(PLACED, "a/1", 0), (UNSURE, "a/1", 1)], "a/1", False),
        ([(PLACED, "a/1", 0), (REMOVED, "a/1", 1)], None, False),
        ([(PLACED, "a/1", 0), ({"event": "gap"}, "a/0", 1)], None, False),
        # what was just placed when the connection ended may be gone
        (SECOND_PLACED, None, False),
        ([*SECOND_PLACED, *APPLE_AGAIN], "b/1", False),
        ([*SECOND_PLACED, *APPLE_AGAIN, (REMOVED, "b/1", 5)], None, False),
        # and so may what is not told again
        ([*TWO_LAY_THERE, *APPLE_AGAIN], "b/1", False),
        ([*TWO_LAY_THERE, *APPLE_AGAIN, (REMOVED, "b/1", 5)], None, False),
    ],
)
def test_what_is_shown(module, steps, place, is_looking):
    assert visit(module, *steps, gives="[v.lying?.place ?? null, v.isLooking]") == [place, is_looking]


@pytest.mark.parametrize(
    ("event", "now", "since", "late"),
    [
        ({"event": "recognised"}, 1_000_000, 999_999, False),  # as it happens
        ({"event": "recognised", "age_s": 59.9}, 1_000_000, 0, False),
        ({"event": "recognised", "age_s": 60.1}, 1_000_000, 0, True),
        ({"event": "unsure", "age_s": 60.1}, 1_000_000, 0, True),
        ({"event": "unknown", "age_s": 60.1}, 1_000_000, 0, True),
        ({"event": "placed", "age_s": 60.1}, 1_000_000, 0, True),
        ({"event": "removed", "age_s": 3600}, 1_000_000, 0, False),
        ({"event": "blocked", "age_s": 3600}, 1_000_000, 0, False),
        (
            {"event": "recognised", "age_s": 10},
            1_000_000,
            989_000,
            False,
        ),  # placed a second after the last shopper left
        ({"event": "recognised", "age_s": 10}, 1_000_000, 991_000, True),  # and a second before
        ({"event": "unsure", "age_s": 0}, 1_000_000, 991_000, False),
    ],
)
def test_what_is_told_too_late_to_count(module, event, now, since, late):
    assert module("visit", f"m.isTooLate({json.dumps(event)}, {now}, {since})") is late


TILL, SHELF = (
    {"station": "till", "state": "empty", "reason": None},
    {"station": "shelf", "state": "blocked", "reason": "dark"},
)


@pytest.mark.parametrize(
    ("told", "blocked"),
    [
        ([{"event": "stations", "stations": [TILL]}], None),
        ([{"event": "stations", "stations": [TILL, SHELF]}], "dark"),
        ([{"event": "blocked", "reason": "hand"}, {"event": "stations", "stations": [TILL]}], None),
        ([{"event": "stations", "stations": [SHELF]}, {"event": "unblocked"}], None),
        ([{"event": "stations", "stations": [SHELF]}, {"event": "blocked", "reason": "covered"}], "covered"),
        ([{"event": "stations"}], None),
    ],
)  # fmt: skip
def test_why_the_camera_cannot_see(module, told, blocked):
    steps = f"const v = new m.Visit(); for (const e of {json.dumps(told)}) v.take(e, 'a/0', 'k', 0); return v.blocked"
    assert module("visit", f"(() => {{ {steps} }})()") == blocked


# ---- the basket ----


def basket(module, script: str):
    """Runs a script in which ``b`` is a Basket and ``apple`` and ``pear`` are products, and gives what it returns."""
    store = "{ value: null, read() { return this.value }, async update(f) { const v = f(this.value); if (v !== undefined) this.value = v } }"
    products = (
        "const [apple, pear] = ['apple', 'pear'].map((name, k) => ({ id: k + 1, name, units: null, currency: null }));"
    )
    return module(
        "basket", f"await (async () => {{ {products} const b = new m.Basket({store}, () => {{}}); {script} }})()"
    )


def test_undo_brings_back_a_line_with_its_price(module):
    """Which came while the line was not there."""
    script = "await b.add(apple); await b.takeAway(1); await b.price(() => ({ units: 129, currency: 'EUR' })); await b.undo();"
    assert basket(module, f"{script} return b.lines.map(one => one.units)") == [129]


@pytest.mark.parametrize(
    ("script", "due"),
    [
        ("", [[1, 1]]),
        ("await b.add(apple); await b.add(pear);", [[1, 2], [2, 1]]),
        ("await b.add(pear); await b.takeAway(1);", [[2, 1]]),  # the apple was put back
        ("await b.takeAway(1);", []),  # nothing is wanted any more
        ("await b.undo();", []),
        ("await b.clear(); await b.add(pear);", [[2, 1]]),  # the next shopper's
        ("await b.refused(); await b.add(pear); await b.takeAway(1);", [[2, 1]]),
        ("await b.paid(sent); await b.add(apple); await b.paid(sent);", [[1, 1]]),  # that one is another
    ],
)
def test_what_is_to_be_paid_after_a_receipt_without_an_answer(module, script, due):
    sent = "await b.add(apple); const sent = await b.receipt(b.due, new Date());"
    assert basket(module, f"{sent} {script} return b.due.map(one => [one.id, one.quantity])") == due


@pytest.mark.parametrize(
    ("script", "same"),
    [
        ("await b.takeAway(1); await b.undo();", True),  # put back and taken again
        ("await b.takeAway(1); await b.add(apple);", True),
        ("await b.takeAway(1); await b.add(pear);", False),
    ],
)
def test_the_receipt_without_an_answer_is_sent_once_more(module, script, same):
    sent = "await b.add(apple); const sent = await b.receipt(b.due, new Date());"
    assert basket(module, f"{sent} {script} return (await b.receipt(b.due, new Date())).key === sent.key") is same


def test_a_receipt_that_an_earlier_page_kept_is_no_trouble(module):
    kept = "const old = { lines: b.lines, undo: [], keys: [], receipt: { key: 'k', body: {} } };"
    due = "return new m.Basket({ read: () => old }, () => {}).due.map(one => one.id)"
    assert basket(module, f"await b.add(apple); {kept} {due}") == [1]


# ---- the camera ----


def test_a_picture_that_is_not_sent_again_is_hidden(module):
    """The page's clock stands still: the test says when so much time is over."""
    found = module(
        "camera_stream",
        """await (async () => {
        const real = window.setTimeout;
        window.setTimeout = (f, ms, ...more) => (ms === 3000 ? ((window.late = f), 0) : real(f, ms, ...more));
        const jpeg = await new Promise(done => Object.assign(document.createElement('canvas'), { width: 8, height: 8 }).toBlob(done, 'image/jpeg'));
        const head = new TextEncoder().encode(`--frame\\r\\nContent-Length: ${jpeg.size}\\r\\n\\r\\n`);
        let film;
        const body = new ReadableStream({ start: controller => { film = controller } });
        window.fetch = async () => new Response(body, { headers: { 'Content-Type': 'multipart/x-mixed-replace; boundary=frame' } });
        const image = document.createElement('img');
        image.hidden = true;
        const stream = new m.CameraStream(image, null);
        stream.run();
        const send = async () => {
          window.late = undefined;
          film.enqueue(new Uint8Array([...head, ...new Uint8Array(await jpeg.arrayBuffer()), 13, 10]));
          while (window.late === undefined) await new Promise(done => real(done, 5));
          return image.hidden;
        };
        const told = [await send(), (window.late(), image.hidden), await send()];
        stream.stop();
        film.close();
        return told;
        })()""",
    )
    assert found == [False, True, False]


# ---- languages ----


@pytest.mark.parametrize(
    ("wished", "chosen"),
    [(["de"], "de"), (["de-AT"], "de"), (["fr", "es-MX"], "es"), ([None, "zh-CN"], "zh"), (["fr"], "en"), ([], "en")],
)
def test_the_best_language(module, wished, chosen):
    there = [{"code": code} for code in ("en", "de", "zh", "es")]
    assert module("languages", f"m.bestOf({json.dumps(there)}, {json.dumps(wished)})") == chosen


def test_texts_are_filled_in_once(module):
    """A product that is called ``{price}`` is not filled in again."""
    found = module(
        "languages",
        "(await m.useLanguage('en'), [m.t('say.added', {name: '{price}', price: '€1'}), m.t('items', {count: 1}), m.t('items', {count: 2})])",
    )
    assert found == ["{price}, €1. In your basket.", "1 item", "2 items"]


# ---- waiting ----


def test_tries_come_further_apart_and_never_stop(module):
    waits = module(
        "backoff", "(() => { const b = new m.Backoff(); return Array.from({length: 12}, () => b.next()) })()"
    )
    wholes = [500 * 2**k for k in range(5)] + [10_000] * 7
    assert all(0.75 * whole <= wait <= 1.25 * whole for wait, whole in zip(waits, wholes, strict=True))
    assert len({wait / whole for wait, whole in zip(waits, wholes, strict=True)}) > 6  # not all kiosks at once
