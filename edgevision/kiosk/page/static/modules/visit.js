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
  /** null, or {place, phase, product, picture}: phase is "looking", "known" or "asked". */
  lying = null;
  /** Oldest first: {kind: "unsure" | "unknown", place, key, station, choices, picture, gone}. `gone`: it was taken away again. */
  questions = [];
  /** null, or why the camera cannot see: a reason of the events. */
  blocked = null;
  #carriedUntil = 0;

  /**
   * `event`: of a Station; `place`: its placement; `key`: the event's own name. Returns the product {id, name} to add, or null.
   */
  take(event, place, key, nowMs) {
    switch (event.event) {
      case "placed":
        if (!this.#isCarried(place, nowMs)) {
          this.lying = { place, phase: "looking", product: null, picture: null };
        }
        return null;
      case "recognised":
        return this.#recognised(event, place, nowMs);
      case "unsure":
        return this.#ask("unsure", event, place, key, nowMs);
      case "unknown":
        return this.#ask("unknown", event, place, key, nowMs);
      case "removed":
        return this.#removed(place);
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
   * The connection is new, and counts placements anew: what lies there will be told once more, and must not be added again. Whether the
   * camera can see is told anew too: by `stations`, or by the next pictures.
   */
  carry(nowMs) {
    this.blocked = null;
    this.#carriedUntil = this.lying !== null && this.lying.phase !== "looking" ? nowMs + CARRY_MS : 0;
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
    if (this.lying?.place === now.place) {
      this.lying = { ...this.lying, phase: product ? "known" : "asked", product };
    }
  }

  /** Whether `place` may be what lay there before: placements are counted anew, so that its number is not higher. */
  #isCarried(place, nowMs) {
    return nowMs < this.#carriedUntil && this.lying !== null && numberOf(place) <= numberOf(this.lying.place);
  }

  #recognised({ product, station, alternatives = [], picture = null }, place, nowMs) {
    if (this.#isCarried(place, nowMs) && this.lying.product?.id === product.id) {
      this.#keep(place);
      return null;
    }
    this.#carriedUntil = 0;
    this.lying = { place, phase: "known", station, product, alternatives, picture };
    return product;
  }

  #ask(kind, { station, choices = [], picture = null }, place, key, nowMs) {
    if (this.#isCarried(place, nowMs)) {
      const asked = this.questions.find((one) => one.place === this.lying.place);
      const answered = this.lying.product && (kind === "unknown" || choices.some((one) => one.id === this.lying.product.id));
      if (asked || answered || (kind === "unknown" && this.lying.phase === "asked")) {
        this.#keep(place);
        return null;
      }
    }
    this.#carriedUntil = 0;
    this.lying = { place, phase: "asked", product: null, picture };
    this.questions = [...this.questions, { kind, place, key, station, choices, picture, gone: false }];
    return null;
  }

  /** It is what lay there before, under a new number. */
  #keep(place) {
    this.questions = this.questions.map((one) => (one.place === this.lying.place ? { ...one, place } : one));
    this.lying = { ...this.lying, place };
    this.#carriedUntil = 0;
  }

  #removed(place) {
    // A question stays open: nobody is hurried. It only tells that the product was taken away.
    this.questions = this.questions.map((one) => (one.place === place ? { ...one, gone: true } : one));
    if (this.lying?.place === place) {
      this.lying = null;
    }
    return null;
  }
}

function numberOf(place) {
  return Number(place.split("/").at(-1));
}
