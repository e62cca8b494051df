import { resolve } from "node:path";
import { invalid } from "../invalid.ts";

/** A mount as the API takes it. */
export interface Mount {
  Type: string;
  Source?: string;
  Target: string;
  ReadOnly?: boolean;
  BindOptions?: { Propagation?: string };
  VolumeOptions?: { NoCopy?: boolean };
  TmpfsOptions?: { SizeBytes?: number; Mode?: number };
}

/** Reads `type=bind,source=/a,target=/b,readonly`. */
export function mount(text: string): Mount {
  const found: Mount = { Type: "volume", Target: "" };
  const bad = (why: string) => invalid(`invalid argument "${text}" for "--mount" flag: ${why}`);
  for (const field of text.split(",")) {
    const [name, value = ""] = field.split(/=(.*)/s) as [string, string?];
    switch (name) {
      case "type":
        found.Type = value;
        break;
      case "source":
      case "src":
        found.Source = value;
        break;
      case "target":
      case "dst":
      case "destination":
        found.Target = value;
        break;
      case "readonly":
      case "ro":
        found.ReadOnly = value === "" || value === "true" || value === "1";
        break;
      case "bind-propagation":
        found.BindOptions = { Propagation: value };
        break;
      case "volume-nocopy":
        found.VolumeOptions = { NoCopy: value !== "false" };
        break;
      case "tmpfs-size":
        found.TmpfsOptions = { ...found.TmpfsOptions, SizeBytes: bytes(value, bad) };
        break;
      case "tmpfs-mode":
        found.TmpfsOptions = { ...found.TmpfsOptions, Mode: Number.parseInt(value, 8) };
        break;
      default:
        throw bad(`unexpected key '${name}' in '${field}'`);
    }
  }
  if (found.Target === "") throw bad("target is required");
  if (found.Type === "bind" && found.Source?.startsWith(".")) found.Source = resolve(found.Source);
  return found;
}

function bytes(text: string, bad: (why: string) => Error): number {
  const match = /^(\d+)([kmg]?)b?$/i.exec(text);
  if (match === null) throw bad(`invalid size: '${text}'`);
  return Number(match[1]) * 1024 ** { "": 0, k: 1, m: 2, g: 3 }[match[2]!.toLowerCase()]!;
}
