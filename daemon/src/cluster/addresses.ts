import { isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";
import { CreelError } from "@creel/shared";

const DEFAULT_PORT = 2377;
const DEFAULT_LISTEN = "0.0.0.0:2377";

/** Where a node listens and where others reach it. */
export interface NodeAddresses {
  /** host:port */
  listen: string;
  /** host:port */
  advertise: string;
  /** IPv4 address of this machine that VXLAN uses. */
  dataPath: string;
}

const bad = (message: string) => new CreelError("invalid_parameter", { message });

/**
 * Settles the addresses that a user gave: each may be an address, an interface's name, either with a port, or empty.
 * `own` are addresses that the engine's bridges have; they are never advertised by themselves.
 */
export function settleAddresses(
  wish: { listenAddr: string; advertiseAddr: string; dataPathAddr: string },
  own: ReadonlySet<string>,
): NodeAddresses {
  const listen = split(wish.listenAddr || DEFAULT_LISTEN, "listen-addr");
  const listenHost = toAddress(listen.host, "listen-addr");
  const advertise = wish.advertiseAddr
    ? split(wish.advertiseAddr, "advertise-addr")
    : { host: listenHost === "0.0.0.0" ? "" : listenHost, port: undefined };
  const port = listen.port ?? DEFAULT_PORT;
  const host = advertise.host === "" ? chooseAddress(own) : toAddress(advertise.host, "advertise-addr");
  if (host === "0.0.0.0") throw bad("advertise address must be a non-zero IP address or network interface");
  const dataPath = wish.dataPathAddr === "" ? host : toAddress(wish.dataPathAddr, "data-path-addr");
  return {
    listen: `${listenHost}:${port}`,
    advertise: `${host}:${advertise.port ?? port}`,
    dataPath: isOwn(dataPath) || wish.dataPathAddr !== "" ? dataPath : chooseAddress(own),
  };
}

/** A manager's address as a user gave it, with the port made complete. */
export function managerAddress(addr: string): string {
  const { host, port } = split(addr, "remote address");
  return `${host}:${port ?? DEFAULT_PORT}`;
}

function split(value: string, what: string): { host: string; port: number | undefined } {
  const [, host, digits] = /^([^:[\]]*)(?::(\d{1,5}))?$/.exec(value) ?? [];
  if (host === undefined)
    throw bad(`invalid ${what} ${value}: use HOST, HOST:PORT or an interface; IPv4 only`);
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port < 1 || port > 65535))
    throw bad(`invalid ${what} ${value}: port ${port} does not exist`);
  return { host, port };
}

function toAddress(host: string, what: string): string {
  if (isIPv4(host)) return host;
  const addresses = networkInterfaces()[host];
  const [first, ...more] = (addresses ?? []).filter(({ family }) => family === "IPv4");
  if (first && more.length === 0) return first.address;
  if (first) throw bad(`interface ${host} has more than one IPv4 address; give the one to use as ${what}`);
  throw bad(
    `could not find the system's IP address for ${what} ${host}: it is neither an IPv4 address nor an interface that has one`,
  );
}

function isOwn(address: string): boolean {
  return Object.values(networkInterfaces()).some((each) => each?.some((one) => one.address === address));
}

/** The one address by which this machine can be meant. */
function chooseAddress(own: ReadonlySet<string>): string {
  const found = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? [])
      .filter(({ family, internal, address }) => family === "IPv4" && !internal && !own.has(address))
      .map(({ address }) => ({ name, address })),
  );
  const [first, second] = found;
  if (first && !second) return first.address;
  if (!first) throw bad("could not find the system's IP address - specify one with --advertise-addr");
  const list = found.map(({ name, address }) => `${address} on ${name}`).join(", ");
  throw bad(
    `could not choose an IP address to advertise since this system has multiple addresses (${list}) - specify one with --advertise-addr`,
  );
}
