import assert from "node:assert/strict";
import { tar } from "../../../tools/src/image.ts";
import { type Rest, RestError } from "../../../tools/src/rest.ts";

/** Something to ask for that leaves a container where it stands. */
export interface Errand {
  name: string;
  ask: () => Promise<unknown>;
}

/** A network that containers are joined to besides their own. */
export const SECOND = "crash-second";

const CONTENT = "copied in";

/** What it answers where that is so already, or not any more. */
async function unlessSo(asked: Promise<unknown>): Promise<void> {
  await asked.catch((error) => {
    if (!(error instanceof RestError) || ![403, 404, 409].includes(error.status)) throw error;
  });
}

/** The errands for a container: with its files, its log, and while it runs, its networks. */
export function errands(rest: Rest, name: string, runs: boolean): Errand[] {
  const path = `/containers/${name}`;
  const files: Errand[] = [
    {
      name: "copy",
      ask: async () => {
        const archive = await tar([{ path: "copied", content: Buffer.from(CONTENT) }]);
        await rest.call("PUT", `${path}/archive?path=/tmp`, archive);
        const back = await rest.get<string>(`${path}/archive?path=/tmp/copied`);
        assert.equal(back.slice(512, 512 + CONTENT.length), CONTENT, `${name}: what was copied in`);
      },
    },
    { name: "export", ask: () => rest.get(`${path}/export`) },
    { name: "logs", ask: () => rest.get(`${path}/logs?stdout=1&stderr=1`) },
    { name: "prune volumes", ask: () => rest.post("/volumes/prune") },
  ];
  const networks: Errand[] = [
    {
      name: "connect",
      ask: () => unlessSo(rest.post(`/networks/${SECOND}/connect`, { Container: name })),
    },
    {
      name: "disconnect",
      ask: () => unlessSo(rest.post(`/networks/${SECOND}/disconnect`, { Container: name, Force: true })),
    },
  ];
  return runs ? [...files, ...networks] : files;
}
