import { CreelError } from "@creel/shared";
import type {
  ConfigReference,
  FileTarget,
  Revision,
  Secret,
  SecretReference,
  SecretSpec,
} from "../cluster.ts";
import { fromMillis } from "../http/time.ts";
import type { DataBody } from "../schema/data.ts";
import type { ServiceContainer } from "../schema/service.ts";

type Json = Record<string, unknown>;
type SecretBody = NonNullable<ServiceContainer["Secrets"]>[number];
type ConfigBody = NonNullable<ServiceContainer["Configs"]>[number];

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The spec of a secret or config as Docker writes it; its value apart. */
export function fromDataBody(body: DataBody): { spec: SecretSpec; data: Buffer } {
  if (body.Driver?.Name) {
    throw new CreelError("unsupported", {
      message: `the secret driver ${body.Driver.Name} is a plugin, and Creel runs none: give the value itself`,
    });
  }
  const templating = body.Templating;
  return {
    spec: {
      name: body.Name ?? "",
      labels: body.Labels ?? {},
      templating: templating?.Name ? { name: templating.Name, options: templating.Options ?? {} } : undefined,
    },
    data: fromBase64(body.Data ?? ""),
  };
}

/** A value as JSON carries it. The text itself is never repeated: it may be a secret. */
export function fromBase64(text: string): Buffer {
  if (!BASE64.test(text)) {
    throw new CreelError("invalid_parameter", { message: "invalid request: Data is not base64" });
  }
  return Buffer.from(text, "base64");
}

/** A secret or config as Docker writes it. `open`: with its value, as configs are. */
export function toData(object: Secret, open: boolean): Json {
  const { spec } = object;
  return {
    ID: object.id,
    Version: { Index: object.meta?.version ?? 0 },
    CreatedAt: fromMillis(object.meta?.createdAt ?? 0),
    UpdatedAt: fromMillis(object.meta?.updatedAt ?? 0),
    Spec: {
      Name: spec?.name,
      Labels: spec?.labels,
      Data: open ? presentRevision(object)?.data.toString("base64") : undefined,
      Templating: spec?.templating && { Name: spec.templating.name, Options: spec.templating.options },
    },
  };
}

function presentRevision({ revisions, revision }: Secret): Revision | undefined {
  return revisions.find(({ number }) => number === revision);
}

export function fromSecretReference({ SecretID, SecretName, File }: SecretBody): SecretReference {
  return { id: SecretID ?? "", name: SecretName ?? "", revision: 0, file: fromFile(File) };
}

export function fromConfigReference({ ConfigID, ConfigName, File, Runtime }: ConfigBody): ConfigReference {
  if (File && Runtime) {
    throw new CreelError("invalid_parameter", {
      message: `config ${ConfigName ?? ""} has both a file and a runtime target: give one of them`,
    });
  }
  return { id: ConfigID ?? "", name: ConfigName ?? "", revision: 0, file: fromFile(File) };
}

export function toSecretReference({ id, name, file }: SecretReference): Json {
  return { File: file && toFile(file), SecretID: id, SecretName: name };
}

export function toConfigReference({ id, name, file }: ConfigReference): Json {
  return {
    File: file && toFile(file),
    Runtime: file ? undefined : {},
    ConfigID: id,
    ConfigName: name,
  };
}

function fromFile(file: SecretBody["File"]): FileTarget | undefined {
  if (!file) return undefined;
  return { name: file.Name ?? "", uid: file.UID ?? "", gid: file.GID ?? "", mode: file.Mode ?? 0 };
}

function toFile({ name, uid, gid, mode }: FileTarget): Json {
  return { Name: name, UID: uid, GID: gid, Mode: mode };
}
