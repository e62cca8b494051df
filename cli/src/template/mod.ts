import { TemplateError } from "./error.ts";
import { parse } from "./parse.ts";
import { run } from "./run.ts";

export { json, show } from "./print.ts";

/** A Go template, as `--format` takes it: read once, run for each item. */
export type Template = (data: unknown) => string;

/** Reads a template. What is wrong with it, or with a field it names, comes as an error that says so. */
export function template(source: string): Template {
  const nodes = guarded("template parsing error: ", () => parse(source));
  return (data) => guarded("template parsing error: executing: ", () => run(nodes, data));
}

function guarded<T>(prefix: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof TemplateError) throw new TemplateError(prefix + error.message);
    throw error;
  }
}
