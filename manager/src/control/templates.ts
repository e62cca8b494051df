import { TemplateError, template } from "@creel/shared/template";
import { invalid } from "./names.ts";

/** Refuses a text with placeholders that no node could read. `open`: the cause may be told, which may repeat some of it. */
export function checkTemplate(what: string, text: string, open = true): void {
  if (!text.includes("{{")) return;
  try {
    template(text);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    throw invalid(`expanding ${what} failed: ${open ? error.message : "its template is wrong"}`);
  }
}
