import type { CreateContainer } from "../schema/container.ts";

const quoted = (text: string) => `"${text.replace(/["\\$]/g, "\\$&")}"`;

/** The instructions that make an image's configuration of the one that came with a commit. */
export function instructionsOf(config: CreateContainer): string[] {
  const pair = (entry: string): string => {
    const at = entry.indexOf("=");
    return `ENV ${entry.slice(0, at)}=${quoted(entry.slice(at + 1))}`;
  };
  return [
    ...(config.Env ?? []).filter((entry) => entry.indexOf("=") > 0).map(pair),
    ...Object.entries(config.Labels ?? {}).map(([name, value]) => `LABEL ${quoted(name)}=${quoted(value)}`),
    ...Object.keys(config.ExposedPorts ?? {}).map((port) => `EXPOSE ${port}`),
    ...Object.keys(config.Volumes ?? {}).map((path) => `VOLUME ${JSON.stringify([path])}`),
    ...(config.User ? [`USER ${quoted(config.User)}`] : []),
    ...(config.WorkingDir ? [`WORKDIR ${quoted(config.WorkingDir)}`] : []),
    ...(config.StopSignal ? [`STOPSIGNAL ${config.StopSignal}`] : []),
    ...(config.Entrypoint?.length ? [`ENTRYPOINT ${JSON.stringify([config.Entrypoint].flat())}`] : []),
    ...(config.Cmd?.length ? [`CMD ${JSON.stringify([config.Cmd].flat())}`] : []),
  ];
}
