import { connect } from "node:net";

/**
 * Whether `addr` (host:port) takes a TCP connection within `ms`. The kernel alone answers, also for a busy process, so
 * the wait can be short; without it, a connection begun while a machine was cut off waits for the kernel's next attempt,
 * up to a minute after the machine is back.
 */
export function isReachable(addr: string, ms: number): Promise<boolean> {
  const at = addr.lastIndexOf(":");
  const host = addr.slice(0, at).replace(/^\[(.*)\]$/, "$1");
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(addr.slice(at + 1)) });
    const end = (reached: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(reached);
    };
    const timer = setTimeout(end, ms, false);
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}
