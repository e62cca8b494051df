import { type Loaded, type LoadOptions, loadStack } from "../../src/compose/load.ts";

/** Loads a stack of files that exist only here: by name, in the folder /stack. */
export function load(
  files: Record<string, string | Buffer>,
  env: Record<string, string> = {},
  o: LoadOptions & { paths?: string[] } = {},
): Loaded {
  const read = (path: string) => {
    const found = files[path.replace(/^\/stack\//, "")];
    if (found === undefined) throw Object.assign(new Error(`no ${path}`), { code: "ENOENT" });
    return Buffer.from(found);
  };
  const paths = o.paths ?? Object.keys(files).filter((name) => /^[a-z]\.yaml$/.test(name));
  return loadStack(paths, { read, env, folder: "/stack" }, o);
}

/** One file of these services. */
export const one = (text: string, env: Record<string, string> = {}, more: Record<string, string> = {}) =>
  load({ "a.yaml": text, ...more }, env);

/** What is said to be wrong. */
export function wrong(
  text: string,
  env: Record<string, string> = {},
  more: Record<string, string> = {},
): string {
  try {
    one(text, env, more);
  } catch (error) {
    return (error as Error).message;
  }
  return "nothing";
}
