import { CreelError } from "@creel/shared/errors";

/** What was asked for cannot be done as it was written. */
export function invalid(message: string): CreelError {
  return new CreelError("invalid_parameter", { message });
}
