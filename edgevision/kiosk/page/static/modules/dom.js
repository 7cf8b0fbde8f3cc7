// Elements without HTML in texts: whatever a product is called, it stays a text.
import { at } from "./address.js";

/** `make("button", {class: "wide", onclick: f}, "Text", other)`. Attributes that are null or false are left out. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) {
      element.addEventListener(key.slice(2), value);
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(key, value === true ? "" : value);
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** A picture of icons.svg that stands beside words, and says nothing itself. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", at(`static/icons.svg#${name}`));
  svg.append(use);
  return svg;
}

/**
 * Put `nodes` in place of what is there, unless it is the same: a press that has begun must not lose its button. The focus stays on what has
 * the same data-key, else goes to `fallback`.
 */
export function replace(container, nodes, fallback = null) {
  if (nodes.length === container.childNodes.length && nodes.every((node, k) => node.isEqualNode(container.childNodes[k]))) {
    return;
  }
  const focused = container.contains(document.activeElement) ? document.activeElement : null;
  const key = focused?.dataset.key;
  container.replaceChildren(...nodes);
  if (focused) {
    const same = key ? container.querySelector(`[data-key="${CSS.escape(key)}"]:not(:disabled)`) : null;
    (same ?? fallback)?.focus();
  }
}
