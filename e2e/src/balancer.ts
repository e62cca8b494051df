import { existsSync } from "node:fs";
import type { Lab } from "../../tools/src/lab/lab.ts";

const PROTOCOLS: Record<number, string> = { 6: "tcp", 17: "udp", 132: "sctp" };

/** A map of Creel's own table as bytes; undefined where there is no nft command. A table that is not there is empty. */
function elements(lab: Lab, node: string, prefix: string[], map: string, sizes: [number, number]) {
  if (!existsSync("/usr/sbin/nft")) return undefined;
  const { code, stdout } = lab.exec(node, [...prefix, "nft", "-j", "list", "map", "ip", "creel", map]);
  if (code !== 0) return [];
  const { nftables } = JSON.parse(stdout) as { nftables: { map?: { elem?: [unknown, unknown][] } }[] };
  const elem = nftables.find((each) => each.map !== undefined)?.map?.elem ?? [];
  return elem.map(([key, value]) => [bytes(key, sizes[0]), bytes(value, sizes[1])] as const);
}

/** nft does not know the type, and writes the bytes as one number. */
function bytes(value: unknown, size: number): Buffer {
  const digits = /^0x([0-9a-f]+)/.exec(String(value))?.[1] ?? "";
  return Buffer.from(digits.padStart(2 * size, "0"), "hex");
}

const address = (at: Buffer) => [...at.subarray(0, 4)].join(".");

function gather(pairs: [string, string][]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [key, value] of pairs) found.set(key, [...(found.get(key) ?? []), value].sort());
  return found;
}

/** What a node's rules lead published ports to: `port/protocol` → `address:port`. */
export function balancerOf(lab: Lab, node: string): Map<string, string[]> | undefined {
  // (slot, protocol, port) → (address, port), each in four bytes
  const found = elements(lab, node, [], "slots", [12, 8]);
  return (
    found &&
    gather(
      found.map(([key, value]) => [
        `${key.readUInt16BE(8)}/${PROTOCOLS[key[4]!]}`,
        `${address(value)}:${value.readUInt16BE(4)}`,
      ]),
    )
  );
}

/** What a container's rules lead virtual addresses to. */
export function virtualAddressesOf(lab: Lab, node: string, pid: number): Map<string, string[]> | undefined {
  // (slot, address) → address
  const found = elements(lab, node, ["nsenter", "-t", String(pid), "-n"], "slots", [8, 4]);
  return found && gather(found.map(([key, value]) => [address(key.subarray(4)), address(value)]));
}
