// Money as whole numbers of a currency's smallest unit: 129 cents, never 1.29.

/** How many digits stand behind the point: 2 for EUR, 0 for JPY, 3 for KWD. Throws RangeError for what is no currency. */
export function digitsOf(currency) {
  return new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;
}

/** "1.29" EUR → 129; null for what is no price in that currency. */
export function parsePrice(text, currency) {
  const found = /^(\d{1,10})(?:\.(\d+))?$/.exec(text ?? "");
  if (!found) {
    return null;
  }
  const digits = digitsOf(currency);
  const [, whole, given = ""] = found;
  const rest = given.slice(digits);
  if (/[1-9]/.test(rest)) {
    return null; // finer than its smallest coin
  }
  return Number(whole + given.slice(0, digits).padEnd(digits, "0"));
}

/** As people write it: "1,29" too. null where three digits follow the comma or the point, for `1,500` and `1.500` may mean thousands; price lists refuse them as well. */
export function writtenPrice(text, currency) {
  if (/[.,]\d{3}$/.test(text) && digitsOf(currency) !== 3) {
    return null;
  }
  return parsePrice(text.replace(",", "."), currency);
}

/** 129 EUR → "1.29", as it travels. */
export function decimal(units, currency) {
  const digits = digitsOf(currency);
  const text = String(units).padStart(digits + 1, "0");
  return digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

/** As people of `language` write it: "€1.29", "1,29 €". */
export function formatMoney(units, currency, language) {
  // A text, not a number: it is taken digit by digit.
  return new Intl.NumberFormat(language, { style: "currency", currency }).format(decimal(units, currency));
}
