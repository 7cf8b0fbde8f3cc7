// What lies before the camera, and what the shopper is still to be asked. Events go in; what is to be added comes out.

const CARRY_MS = 30_000; // a server that comes back opens its camera first
const LATE_MS = 60_000;
const OF_A_PRODUCT = new Set(["placed", "recognised", "unsure", "unknown"]);

/**
 * Whether a product that is told only now, after an outage, is nobody's who stands here: told long ago, or before `shopperSinceMs`, when
 * the shopper before left. Only what is told late has an age. That something was taken away is never too late.
 */
export function isTooLate({ event, age_s: ageS = null }, nowMs, shopperSinceMs) {
  if (ageS === null || !OF_A_PRODUCT.has(event)) {
    return false;
  }
  return ageS * 1000 > LATE_MS || nowMs - ageS * 1000 < shopperSinceMs;
}

export class Visit {
  /** The newest that lies there. null, or {place, phase, product, picture}: phase is "looking", "known" or "asked". */
  lying = null;
  /**
   * Oldest first: {kind: "unsure" | "unknown", place, key, station, choices, picture, gone, atStaff, taught}. `gone`: it was taken away again. `atStaff`: staff
   * went to teach it; `taught`: the id of the product that they taught.
   */
  questions = [];
  /** null, or why the camera cannot see: a reason of the events. */
  blocked = null;
  /** All that was told and lies there, by place: as `lying`, with what the model said, `kind` and `said`: ids. The shopper may have corrected it. */
  #there = new Map();
  /** Places of what was placed, and not told yet what it is. */
  #looking = new Set();
  /** The same, of which nothing may be told any more: something was missed. Nobody waits for it. */
  #missed = new Set();
  /** By place: what the shopper before left, {place, told}; what is told of it is nobody's. `told`: [event, place, key], or null. */
  #left = new Map();
  #carriedUntil = 0;

  /**
   * `event`: of a Station; `place`: its placement; `key`: the event's own name. Returns the product {id, name} to add, or null.
   */
  take(event, place, key, nowMs) {
    if (OF_A_PRODUCT.has(event.event)) {
      this.#forgetOld(place, nowMs);
    }
    this.#looking.delete(place);
    this.#missed.delete(place);
    switch (event.event) {
      case "placed":
        this.#looking.add(place);
        if (this.lying === null || this.#before(place).length === 0) {
          this.lying = { place, phase: "looking", product: null, picture: null };
        }
        return null;
      case "recognised":
        return this.#recognised(event, place, key);
      case "unsure":
        return this.#ask("unsure", event, place, key);
      case "unknown":
        return this.#ask("unknown", event, place, key);
      case "removed":
        return this.#removed(place);
      case "gap":
        this.#stopLooking(); // the answer may be among what was missed
        return null;
      case "blocked":
        this.blocked = event.reason;
        return null;
      case "unblocked":
        this.blocked = null;
        return null;
      case "stations": // how it is now, as a new connection begins
        this.blocked = (event.stations ?? []).find((one) => one.state === "blocked")?.reason ?? null;
        return null;
      default:
        return null; // of a newer service
    }
  }

  /**
   * The connection is new, and may count placements anew: what lies there will be told once more, and must not be added again. Whether the
   * camera can see is told anew too: by `stations`, or by the next pictures.
   */
  carry(nowMs) {
    this.blocked = null;
    this.#stopLooking(); // it may have been taken away meanwhile
    this.#carriedUntil = nowMs + CARRY_MS;
  }

  /** Whether something was placed of which it is not told yet what it is. */
  get isLooking() {
    return this.#looking.size > 0;
  }

  /** The shopper leaves: what was placed before, and is told only now, is not the next one's. Returns what `stay` takes. */
  leave() {
    const left = [...this.#looking, ...this.#missed].map((place) => ({ place, told: null }));
    left.forEach((one) => this.#left.set(one.place, one));
    this.#missed.clear();
    return left;
  }

  /** The shopper did not leave after all. Returns what was told meanwhile, to be taken once more: [[event, place, key]]. */
  stay(left) {
    left.forEach(({ place }) => this.#left.delete(place));
    return left.flatMap(({ told }) => (told === null ? [] : [told]));
  }

  /** What to ask now: the oldest question, but not while the next product is told, unless the shopper `isAnswering`; or null. */
  asking(isAnswering) {
    const isTelling = this.lying !== null && this.lying.phase !== "asked";
    return isTelling && !isAnswering ? null : this.questions[0] ?? null;
  }

  /** What was answered in another tab, or here, is asked no more. */
  settle(isSettled) {
    this.questions = this.questions.filter((question) => !isSettled(question.key));
  }

  /** The shopper said what it is; null: nothing of ours. */
  answer(question, product) {
    const now = this.questions.find((one) => one.key === question.key) ?? question; // it may have a new place since it was shown
    this.questions = this.questions.filter((one) => one.key !== question.key);
    this.#change(now.place, { phase: product ? "known" : "asked", product });
  }

  /** Staff goes to teach what `question` is about. */
  showStaff(question) {
    this.questions = this.questions.map((one) => ({ ...one, atStaff: one.key === question.key }));
  }

  /** Staff is back, and taught product `id`; null: none. */
  backFromStaff(id) {
    this.questions = this.questions.map((one) => ({ ...one, atStaff: false, taught: one.atStaff ? id : one.taught ?? null }));
  }

  /** The question that led to the teaching of product `id`, or undefined. */
  askedBeforeTeaching(id) {
    return this.questions.find((one) => (one.taught ?? null) === id);
  }

  /** The shopper said that what lies at `place` is `product`. */
  correct(place, product) {
    this.#change(place, { product });
  }

  /** What lies there, as it can be kept over a reload. Without its pictures, which are large. */
  get kept() {
    const bare = (one) => ({ ...one, picture: null });
    const lying = this.lying === null || this.lying.phase === "looking" ? null : bare(this.lying);
    return { lying, there: [...this.#there.values()].map(bare) };
  }

  /** Begin with what was `kept`. */
  recall({ lying = null, there = [] }) {
    this.lying = lying;
    this.#there = new Map(there.map((one) => [one.place, one]));
  }

  /** What lay there when placements began to be counted anew, and was not told again yet. */
  #before(place) {
    return [...this.#there.values()].filter((one) => isOfAnotherCount(one.place, place));
  }

  /** What is not told again in time lies there no more. */
  #forgetOld(place, nowMs) {
    if (nowMs >= this.#carriedUntil) {
      this.#before(place).forEach((one) => this.#there.delete(one.place));
      [...this.#left.keys()].filter((one) => isOfAnotherCount(one, place)).forEach((one) => this.#left.delete(one));
    }
  }

  /** Whether the shopper before left this, under this place or, before placements were counted anew, under another. */
  #isLeft(event, place, key) {
    const untold = [...this.#left.values()].filter(({ told }) => told === null);
    const found = this.#left.get(place) ?? untold.find((one) => isOfAnotherCount(one.place, place));
    if (!found) {
      return false;
    }
    this.#left.delete(found.place);
    Object.assign(found, { place, told: [event, place, key] });
    this.#left.set(place, found);
    return true;
  }

  #recognised(event, place, key) {
    const { product, station, alternatives = [], picture = null } = event;
    if (this.#isToldAgain("recognised", [product.id], place)) {
      return null;
    }
    const said = [product.id];
    if (this.#isLeft(event, place, key)) {
      this.#lies({ place, phase: "asked", product: null, picture, kind: "recognised", said });
      return null;
    }
    this.#lies({ place, phase: "known", station, product, alternatives, picture, kind: "recognised", said });
    return product;
  }

  #ask(kind, event, place, key) {
    const { station, choices = [], picture = null } = event;
    const said = choices.map((one) => one.id);
    if (this.#isToldAgain(kind, said, place)) {
      return null;
    }
    this.#lies({ place, phase: "asked", product: null, picture, kind, said });
    if (this.#isLeft(event, place, key)) {
      return null;
    }
    this.questions = [...this.questions, { kind, place, key, station, choices, picture, gone: false }];
    return null;
  }

  #lies(one) {
    this.lying = one;
    this.#there.set(one.place, one);
  }

  /** Whether it lay there before. Then it has its new place from now on: each is told again once, and a second one of its kind is new. */
  #isToldAgain(kind, said, place) {
    const before = this.#before(place);
    const isUnknown = kind === "unknown";
    const isAlike = (one) => one.said.some((id) => said.includes(id)) || (isUnknown && one.kind === kind);
    const found =
      before.find((one) => one.kind === kind && isAlike(one)) ??
      before.find(isAlike) ??
      before.find((one) => said.includes(one.product?.id)) ??
      (isUnknown && before.length === 1 ? before[0] : undefined); // nothing else could be meant
    if (!found) {
      return false;
    }
    this.questions = this.questions.map((one) => (one.place === found.place ? { ...one, place } : one));
    const moved = { ...found, place };
    if (this.lying === null || this.lying.place === place || isOfAnotherCount(this.lying.place, place)) {
      this.lying = moved; // what was told before it, and not again, may be gone
    }
    this.#there.delete(found.place);
    this.#there.set(place, moved);
    return true;
  }

  #change(place, more) {
    if (this.lying?.place === place) {
      this.lying = { ...this.lying, ...more };
    }
    if (this.#there.has(place)) {
      this.#there.set(place, { ...this.#there.get(place), ...more });
    }
  }

  #removed(place) {
    // A question stays open: nobody is hurried. It only tells that the product was taken away.
    this.questions = this.questions.map((one) => (one.place === place ? { ...one, gone: true } : one));
    this.#there.delete(place);
    this.#left.delete(place);
    if (this.lying?.place === place) {
      this.lying = null;
    }
    return null;
  }

  #stopLooking() {
    this.#looking.forEach((place) => this.#missed.add(place));
    this.#looking.clear();
    if (this.lying?.phase === "looking") {
      this.lying = null;
    }
  }
}

/** Whether two placements of one station are of two counts: of two runs of the service, or of two connections. */
function isOfAnotherCount(place, other) {
  const [count, ...station] = place.split("/").slice(0, -1);
  const [otherCount, ...otherStation] = other.split("/").slice(0, -1);
  return count !== otherCount && station.join("/") === otherStation.join("/");
}
