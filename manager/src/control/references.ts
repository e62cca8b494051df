import { CreelError } from "@creel/shared";
import type {
  ConfigReference,
  FileTarget,
  SecretReference,
  TaskSpec,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import { CONFIGS, type DataKind, SECRETS } from "../data.ts";
import type { StoreView } from "../store/mod.ts";
import { invalid } from "./names.ts";

const MAX_MODE = 0o7777;
/** A node keeps a task's in memory, three times for a moment. */
const MAX_BYTES = 32 << 20;

/** The task's references, each pinned to a revision: to the one it has where that is there still, else to the present one. */
export function resolveData(task: TaskSpec, view: StoreView): TaskSpec {
  const container = task.container!;
  const secrets = container.secrets.map((ref) => pin(SECRETS, ref, view));
  const configs = container.configs.map((ref) => pin(CONFIGS, ref, view));
  const bytes = sizeOf(SECRETS, secrets, view) + sizeOf(CONFIGS, configs, view);
  if (bytes > MAX_BYTES) {
    throw invalid(
      `the secrets and configs of a service may have ${MAX_BYTES} bytes in all; these have ${bytes}`,
    );
  }
  return { ...task, container: { ...container, secrets, configs } };
}

function sizeOf(kind: DataKind, refs: SecretReference[], view: StoreView): number {
  let bytes = 0;
  for (const { id, revision } of refs) {
    bytes += kind.get(view, id)!.revisions.find(({ number }) => number === revision)!.data.length;
  }
  return bytes;
}

function pin<R extends SecretReference>(kind: DataKind, ref: R, view: StoreView): R {
  const object = kind.get(view, ref.id);
  if (!object || object.spec?.name !== ref.name) {
    throw new CreelError(`${kind.word}_not_found`, { name: ref.name });
  }
  const kept = object.revisions.some(({ number }) => number === ref.revision);
  return { ...ref, revision: kept ? ref.revision : object.revision };
}

/** Refuses references that are not whole, or whose files cannot be where they are wished. */
export function checkReferences(secrets: SecretReference[], configs: ConfigReference[]): void {
  const taken = new Map<string, string>();
  for (const ref of secrets) {
    if (ref.id === "" || ref.name === "") throw invalid("malformed secret reference");
    if (!ref.file?.name) throw invalid("malformed file secret reference, no target provided");
    checkFile("secret", ref.name, ref.file, "/run/secrets", taken);
  }
  for (const ref of configs) {
    if (ref.id === "" || ref.name === "") throw invalid("malformed config reference");
    if (!ref.file) continue;
    if (ref.file.name === "") throw invalid("malformed file config reference, no target provided");
    checkFile("config", ref.name, ref.file, "/", taken);
  }
}

function checkFile(
  word: string,
  name: string,
  file: FileTarget,
  base: string,
  taken: Map<string, string>,
): void {
  const wrong = (why: string) => invalid(`${word} ${name}: target ${file.name} ${why}`);
  const parts = file.name.split("/");
  if (parts.includes("..")) throw wrong("may not hold ..: give an absolute path instead");
  if (file.name.includes("\0")) throw wrong("may not hold a NUL character");
  const path = `/${[...(file.name.startsWith("/") ? [] : base.split("/")), ...parts].filter((part) => part !== "" && part !== ".").join("/")}`;
  if (path === "/" || file.name.endsWith("/")) throw wrong("is no file's path");
  const other = taken.get(path);
  if (other !== undefined) {
    throw invalid(`${word} references '${other}' and '${name}' have a conflicting target: '${file.name}'`);
  }
  taken.set(path, name);
  for (const [what, id] of [
    ["uid", file.uid],
    ["gid", file.gid],
  ] as const) {
    if (id !== "" && !/^\d{1,10}$/.test(id)) throw wrong(`: ${what} ${id} is not a number`);
  }
  if (!(file.mode >= 0 && file.mode <= MAX_MODE)) throw wrong(`: mode ${file.mode} is not a file's mode`);
}
