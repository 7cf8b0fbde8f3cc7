// Why the browser gives no camera. Each kind has its words, and what to do, in the language files: camera.KIND and camera.KIND.cure.

const BY_NAME = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "not-found",
  NotReadableError: "in-use",
  OverconstrainedError: "gone",
  AbortError: "aborted",
  TypeError: "insecure",
};

export const KINDS = ["denied", "not-found", "in-use", "gone", "aborted", "insecure", "unanswered", "ended", "other"];

export class CameraProblem extends Error {
  constructor(kind, detail = "") {
    super(detail || kind);
    this.name = "CameraProblem";
    this.kind = kind;
  }

  /** Of an error of getUserMedia. */
  static of(error) {
    const detail = error.constraint ? `${error.name}: ${error.constraint}` : `${error.name}: ${error.message}`;
    return new CameraProblem(BY_NAME[error.name] ?? "other", detail);
  }
}
