import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { pack } from "tar-stream";
import { native } from "./root.ts";

/** A file of an image's one layer; without `content` and `link`: a folder. */
export interface ImageFile {
  path: string;
  content?: Uint8Array;
  /** Target of a symbolic link. */
  link?: string;
  mode?: number;
}

/** What an image is made of: `FROM scratch`, files, and how it runs. */
export interface ImageSpec {
  /** `name:tag` */
  tag: string;
  files: ImageFile[];
  entrypoint?: string[];
  cmd?: string[];
  env?: string[];
  exposedPorts?: string[];
  labels?: Record<string, string>;
  workingDir?: string;
}

const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

/** A tar archive of files, all owned by root and from the epoch's first second. */
export async function tar(files: ImageFile[]): Promise<Buffer> {
  const archive = pack();
  for (const { path, content, link, mode } of files) {
    const header = { name: path, mtime: new Date(0), mode: mode ?? 0o644 };
    if (link !== undefined) archive.entry({ ...header, type: "symlink", linkname: link });
    else if (content === undefined) archive.entry({ ...header, mode: mode ?? 0o755, type: "directory" });
    else archive.entry(header, Buffer.from(content));
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** An image as an archive that `docker load` takes: an OCI image layout with Docker's manifest.json beside it. */
export async function buildImage(spec: ImageSpec): Promise<Buffer> {
  const layer = await tar(spec.files);
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const config = Buffer.from(
    JSON.stringify({
      architecture,
      os: "linux",
      created: "1970-01-01T00:00:00Z",
      config: {
        Entrypoint: spec.entrypoint,
        Cmd: spec.cmd,
        Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ...(spec.env ?? [])],
        ExposedPorts: Object.fromEntries((spec.exposedPorts ?? []).map((port) => [port, {}])),
        Labels: spec.labels,
        WorkingDir: spec.workingDir ?? "/",
      },
      rootfs: { type: "layers", diff_ids: [`sha256:${sha256(layer)}`] },
      history: [{ created: "1970-01-01T00:00:00Z", created_by: "creel tools/src/image.ts" }],
    }),
  );
  const descriptor = (mediaType: string, data: Uint8Array, more = {}) => ({
    mediaType,
    digest: `sha256:${sha256(data)}`,
    size: data.length,
    ...more,
  });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: descriptor("application/vnd.oci.image.config.v1+json", config),
      layers: [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    }),
  );
  const [name, tag] = [
    spec.tag.slice(0, spec.tag.lastIndexOf(":")),
    spec.tag.slice(spec.tag.lastIndexOf(":") + 1),
  ];
  const annotations = {
    "io.containerd.image.name": `docker.io/library/${name}:${tag}`,
    "org.opencontainers.image.ref.name": tag,
  };
  const index = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [descriptor("application/vnd.oci.image.manifest.v1+json", manifest, { annotations })],
  };
  const blob = (data: Uint8Array) => `blobs/sha256/${sha256(data)}`;
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  return tar([
    { path: "blobs/" },
    { path: "blobs/sha256/" },
    { path: blob(layer), content: layer },
    { path: blob(config), content: config },
    { path: blob(manifest), content: manifest },
    { path: "index.json", content: json(index) },
    {
      path: "manifest.json",
      content: json([{ Config: blob(config), RepoTags: [spec.tag], Layers: [blob(layer)] }]),
    },
    { path: "oci-layout", content: json({ imageLayoutVersion: "1.0.0" }) },
  ]);
}

/** The demonstration image: the static whoami server of this checkout, on port 8080. */
export function whoamiImage(tag = "whoami:latest"): Promise<Buffer> {
  return buildImage({
    tag,
    files: [{ path: "whoami", content: readFileSync(native("whoami")), mode: 0o755 }],
    entrypoint: ["/whoami"],
    exposedPorts: ["8080/tcp"],
  });
}
