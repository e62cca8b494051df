import { CreelError } from "@creel/shared";

/** As swarmkit takes them: a DNS label, underscores allowed. */
const NAME = /^[a-zA-Z0-9]+(?:[a-zA-Z0-9-_]*?[a-zA-Z0-9]+)?$/;
const MAX_NAME = 63;

/** An error of what was asked, in words. */
export function invalid(message: string): CreelError {
  return new CreelError("invalid_parameter", { message });
}

/** Refuses a name of a service or network that could not be looked up by DNS. */
export function checkName(name: string): void {
  if (name === "") throw invalid("name must be provided");
  if (!NAME.test(name)) throw invalid(`name must be valid as a DNS name component: ${name}`);
  if (name.length > MAX_NAME) throw invalid(`name must be ${MAX_NAME} characters or fewer: ${name}`);
}
