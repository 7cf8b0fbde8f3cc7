// What is told, for eyes that read (a screen reader's live regions) and for ears (spoken, on request).
import { language } from "./languages.js";

let spoken = false;

export function canSpeak() {
  return "speechSynthesis" in window;
}

export function speakFromNowOn(on) {
  spoken = on && canSpeak();
  if (!spoken && canSpeak()) {
    speechSynthesis.cancel();
  }
}

/** Tell it. `urgent`: interrupts what is being told. */
export function say(text, { urgent = false } = {}) {
  const region = document.getElementById(urgent ? "urgent" : "polite");
  region.textContent = "";
  // A text that is the same as before is only told again if the region was empty in between.
  setTimeout(() => (region.textContent = text), 50);
  if (!spoken) {
    return;
  }
  if (urgent) {
    speechSynthesis.cancel();
  }
  const utterance = new SpeechSynthesisUtterance(text);
  utterance.lang = language();
  speechSynthesis.speak(utterance);
}
