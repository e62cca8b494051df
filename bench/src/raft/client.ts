// One sample: proposals of 1 KiB from a process of its own, so many in flight at any time. Prints one JSON object.
import { randomBytes } from "node:crypto";
import { connect } from "node:http2";
import { put, putFrame, type System } from "./put.ts";

const VALUE_BYTES = 1024;
const KEYS = 1000;
const IN_FLIGHT_A_CONNECTION = 64;
const WARM_UP_MS = 1000;
const GRACE_MS = 30_000;

const [system, address, flight, seconds] = process.argv.slice(2);
const inFlight = Number(flight);
const sessions = Array.from({ length: Math.ceil(inFlight / IN_FLIGHT_A_CONNECTION) }, () =>
  connect(`http://${address}`),
);
const frames = Array.from({ length: KEYS }, (_, i) =>
  putFrame(Buffer.from(`key-${i}`), randomBytes(VALUE_BYTES)),
);

const from = performance.now() + WARM_UP_MS;
const to = from + Number(seconds) * 1000;
setTimeout(
  () => {
    console.error(`not answered within ${GRACE_MS / 1000} s`);
    process.exit(1);
  },
  to - performance.now() + GRACE_MS,
).unref();
const times: number[] = [];
let next = 0;
async function keepProposing(): Promise<void> {
  for (;;) {
    const started = performance.now();
    if (started >= to) return;
    const i = next++;
    await put(sessions[i % sessions.length]!, system as System, frames[(i * 7919) % KEYS]!);
    const ended = performance.now();
    if (ended >= from && ended < to) times.push(ended - started);
  }
}
await Promise.all(Array.from({ length: inFlight }, keepProposing));
times.sort((a, b) => a - b);
const at = (part: number) => times[Math.floor((times.length - 1) * part)];
console.log(JSON.stringify({ perSecond: times.length / Number(seconds), p50: at(0.5), p99: at(0.99) }));
for (const session of sessions) session.close();
