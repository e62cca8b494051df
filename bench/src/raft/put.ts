import { type ClientHttp2Session, createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";

/** The one call of both sides: etcd's Put, and the same message to our own members. */
export const PUT = { etcd: "/etcdserverpb.KV/Put", creel: "/bench.Raft/Put" } as const;

export type System = keyof typeof PUT;

const HEADERS = { "content-type": "application/grpc+proto", te: "trailers" };

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest & 127) | 128);
  }
}

/** A gRPC message is five bytes (not compressed, length) and its content. */
function framed(message: Buffer): Buffer {
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, 5);
  return frame;
}

/** `{ bytes key = 1; bytes value = 2; }`, framed. */
export function putFrame(key: Buffer, value: Buffer): Buffer {
  const head = (field: number, bytes: Buffer) => Buffer.from([(field << 3) | 2, ...varint(bytes.length)]);
  return framed(Buffer.concat([head(1, key), key, head(2, value), value]));
}

/**
 * One unary call. Plain HTTP/2 with gRPC's frames: the client libraries for Node cost more than what is measured, and
 * on this side alike for both.
 */
export function put(session: ClientHttp2Session, system: System, frame: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":method": "POST", ":path": PUT[system], ...HEADERS });
    let status: string | undefined;
    let text = "";
    const told = (headers: Record<string, unknown>) => {
      status = (headers["grpc-status"] as string | undefined) ?? status;
      text = (headers["grpc-message"] as string | undefined) ?? text;
    };
    // A refusal may come without a body, and then its status is in the head.
    stream.on("response", told).on("trailers", told).on("error", reject);
    const end = () =>
      status === "0" ? resolve() : reject(new Error(`status ${status ?? "missing"} ${text}`));
    stream.on("trailers", end).on("close", end);
    stream.resume();
    stream.end(frame);
  });
}

/** Serves the call: `take` gets the message, and the answer is empty. */
export function servePut(take: (message: Buffer) => Promise<unknown>): Http2Server {
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream) => {
    const chunks: Buffer[] = [];
    stream.on("error", () => {});
    // The head goes out while the members still agree.
    stream.respond({ ":status": 200, "content-type": HEADERS["content-type"] }, { waitForTrailers: true });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", async () => {
      let trailers: Record<string, string> = { "grpc-status": "0" };
      try {
        await take(Buffer.concat(chunks).subarray(5));
      } catch (error) {
        trailers = { "grpc-status": "14", "grpc-message": encodeURIComponent((error as Error).message) };
      }
      if (stream.destroyed) return;
      stream.on("wantTrailers", () => stream.sendTrailers(trailers));
      stream.end(framed(Buffer.alloc(0)));
    });
  });
  return server;
}
