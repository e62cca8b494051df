import { TemplateError } from "./error.ts";
import type { Fn } from "./functions.ts";
import { parse } from "./parse.ts";
import { run } from "./run.ts";

export { TemplateError } from "./error.ts";
export { json, show } from "./print.ts";

/** A Go template, as `--format` takes it: read once, run for each item. A Map in the data is Go's map of strings. */
export type Template = (data: unknown) => string;

/** What a template may do beside what Go's can. */
export interface TemplateOptions {
  functions?: Record<string, Fn>;
  /** Nodes it may go through before it is given up; without it there is no bound. */
  maxSteps?: number;
}

/** Reads a template. What is wrong with it, or with a field it names, comes as an error that says so. */
export function template(source: string, options: TemplateOptions = {}): Template {
  const nodes = guarded("template parsing error: ", () => parse(source));
  return (data) => guarded("template parsing error: executing: ", () => run(nodes, data, options));
}

function guarded<T>(prefix: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof TemplateError) throw new TemplateError(prefix + error.message);
    throw error;
  }
}
