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

/** What a person is told of an error: whether it is the daemon's or this program's, and its text. */
export function told(error: unknown): string {
  const daemon = error instanceof DaemonError && error.status > 0;
  return `${daemon ? "Error response from daemon" : "creel"}: ${(error as Error).message}`;
}
