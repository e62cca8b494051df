import { CreelError } from "@creel/shared/errors";

/** What was asked for cannot be done as it was written. */
export function invalid(message: string): CreelError {
  return new CreelError("invalid_parameter", { message });
}

/** A command ends with this exit status and nothing more to say. */
export class Exit extends Error {
  readonly status: number;
  constructor(status: number) {
    super(`exit status ${status}`);
    this.status = status;
  }
}

/** What the daemon answered with an error; `status` 0: it could not be reached. */
export class DaemonError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}
