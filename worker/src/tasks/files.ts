import { posix } from "node:path";
import { CreelError } from "@creel/shared";
import type { DataKey } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import type {
  ConfigReference,
  ContainerSpec,
  FileTarget,
  SecretReference,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import type { File } from "@creel/shared/gen/engine/v1/container.ts";
import { TemplateError } from "@creel/shared/template";
import { fill, type TemplateContext } from "./templates.ts";
import type { Values } from "./values.ts";

const SECRETS_DIR = "/run/secrets";

/** The secrets and configs that a task names, those beside its files too. */
export function keysOf({ secrets, configs }: ContainerSpec): DataKey[] {
  return [...secrets, ...configs].map(({ id, revision }) => ({ id, revision }));
}

/** A task's secrets and configs as files of its container, templates filled in. All of them are here already. */
export function filesOf(context: TemplateContext, values: Values): File[] {
  const { secrets, configs } = context.task.spec!.container!;
  const functions = functionsOf(context, values);
  const file = (word: string, ref: SecretReference, target: FileTarget, base: string): File => {
    const value = values.get(ref);
    if (!value) throw new CreelError(`no_such_${word === "secret" ? "secret" : "config"}`, { id: ref.name });
    const data = value.template
      ? Buffer.from(
          fill(value.data.toString(), context, `${word} ${ref.name}`, {
            functions,
            hidden: word === "secret",
          }),
        )
      : value.data;
    return {
      target: posix.resolve(base, target.name),
      data,
      uid: Number(target.uid || 0),
      gid: Number(target.gid || 0),
      mode: target.mode,
    };
  };
  return [
    ...secrets.flatMap((ref) => (ref.file ? file("secret", ref, ref.file, SECRETS_DIR) : [])),
    ...configs.flatMap((ref) => (ref.file ? file("config", ref, ref.file, "/") : [])),
  ];
}

/** What templates of values may call, as in Docker: the task's own environment, secrets and configs. */
function functionsOf(context: TemplateContext, values: Values) {
  const { env, secrets, configs } = context.task.spec!.container!;
  const valueFrom = (word: string, refs: (SecretReference | ConfigReference)[]) => (target: unknown) => {
    const ref = refs.find(({ file }) => file?.name === target) ?? refs.find(({ name }) => name === target);
    const value = ref && values.get(ref);
    // what was asked for may itself be a secret
    if (!value) throw new TemplateError(`the task has no such ${word}`);
    return value.data.toString();
  };
  return {
    env: (name: unknown) => {
      const entry = env.find((each) => each.startsWith(`${name}=`));
      return entry === undefined ? "" : fill(entry.slice(`${name}=`.length), context, "env");
    },
    secret: valueFrom("secret", secrets),
    config: valueFrom("config", configs),
  };
}
