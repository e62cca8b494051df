import { connect, type Socket } from "node:net";
import type { Duplex, Readable } from "node:stream";
import { CreelError } from "@creel/shared";

const CONNECT_TIME = 10_000;
/** How long a client may keep its half open after the other side is done. */
const LINGER = 5_000;

/** Connects to a one-time socket that the engine named. */
export function connectBulk(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true });
    const timer = setTimeout(
      () => socket.destroy(new CreelError("timeout", { what: path, ms: CONNECT_TIME })),
      CONNECT_TIME,
    );
    socket.once("error", (error) => {
      clearTimeout(timer);
      reject(
        error instanceof CreelError
          ? error
          : new CreelError("internal", { message: `cannot open the stream ${path}: ${error.message}` }),
      );
    });
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners("error");
      socket.on("error", () => {});
      resolve(socket);
    });
  });
}

/**
 * Joins a client's connection with the engine's, both ways, each half closing by itself. Resolves when both are closed;
 * when the engine has no more to say the client's is closed, with a moment for what is still under way.
 */
export function join(client: Duplex, engine: Socket, head?: Buffer): Promise<void> {
  return new Promise((resolve) => {
    let open = 2;
    let linger: NodeJS.Timeout | undefined;
    const closed = (socket: Duplex, after: () => void) => {
      const once = () => {
        after();
        if (--open === 0) resolve();
      };
      socket.on("error", () => socket.destroy());
      if (socket.destroyed) queueMicrotask(once);
      else socket.once("close", once);
    };
    closed(client, () => {
      clearTimeout(linger);
      engine.destroy();
    });
    // What the engine has said to its end, a slow client has yet to take.
    closed(engine, () => {
      if (!engine.readableEnded) client.destroy();
    });
    client.once("finish", () => {
      if (client.readableEnded) client.destroy();
      else linger = setTimeout(() => client.destroy(), LINGER);
    });
    client.once("end", () => {
      if (client.writableFinished) client.destroy();
    });
    if (head && head.length > 0) engine.write(head);
    client.pipe(engine);
    engine.pipe(client);
    engine.once("end", () => {
      client.unpipe(engine);
      client.resume();
      engine.end();
    });
  });
}

/** Says the last words to a client. What it still sends is read for a moment: it would not see them otherwise. */
export function leave(client: Duplex, words: Buffer): void {
  const linger = setTimeout(() => client.destroy(), LINGER);
  client.once("close", () => clearTimeout(linger));
  const close = () =>
    client.writableFinished ? client.destroy() : client.once("finish", () => client.destroy());
  if (client.readableEnded) close();
  client.once("end", close);
  client.resume();
  client.end(words);
}

/** Copies a request's body into the engine's socket and half-closes; resolves when all is handed over. */
export function pour(source: Readable, engine: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    source.once("error", reject);
    source.once("aborted", () => reject(new CreelError("internal", { message: "the client went away" })));
    engine.once("close", () => resolve());
    engine.once("finish", () => resolve());
    engine.resume();
    source.pipe(engine);
  });
}
