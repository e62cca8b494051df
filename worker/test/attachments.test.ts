import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { createLogger, isCreelError, systemClock, systemRandom } from "@creel/shared";
import type { AttachmentWish } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import { NodeAttachment } from "@creel/shared/gen/cluster/v1/objects.ts";
import { Container } from "@creel/shared/gen/engine/v1/container.ts";
import { Attachments } from "../src/attachments/attachments.ts";
import { until } from "./until.ts";

describe("attachments", () => {
  let told: AttachmentWish[][];
  let containers: Container[];
  let attachments: Attachments;
  const last = () => told.at(-1)!;
  const grant = (address: string, err = "") => {
    const asked = last().map(({ id, address: wishedAddress }) =>
      NodeAttachment.fromPartial({ id, networkId: "w1", address, err, wishedAddress }),
    );
    attachments.grant(asked);
  };
  const container = (name: string, address: string, running = true) =>
    Container.fromPartial({
      id: `${name}0123456789abcdef`,
      name,
      networks: [{ network: "mesh", address }],
      endpoints: running ? [{ networkId: "w1", address, aliases: ["alias"] }] : [],
    });

  beforeEach(() => {
    told = [];
    containers = [];
    attachments = new Attachments({
      engine: { everyContainer: async () => containers },
      clock: systemClock,
      random: systemRandom,
      logger: createLogger("fatal"),
      send: (wishes) => told.push(wishes),
    });
  });
  afterEach(() => attachments.stop());

  async function place(address: string) {
    const wanted = attachments.attach("mesh", "");
    await until("it is asked for", () => told.length > 0 && last().some(({ network }) => network === "mesh"));
    grant(address);
    return await wanted;
  }

  it("tell nothing before the managers have said what there is: nothing is given up by a restart", async () => {
    attachments.opened();
    const wanted = attachments.attach("mesh", "").catch(() => {});
    await delay(20);
    assert.deepEqual(told, []);
    containers = [container("old", "10.5.0.2")];
    attachments.grant([NodeAttachment.fromPartial({ id: "o", networkId: "w1", address: "10.5.0.2" })]);
    await until("both are told", () => told.at(-1)?.length === 2);
    assert.ok(last().some(({ id, container }) => id === "o" && container === "old"));
    attachments.stop();
    await wanted;
  });

  it("are held until released, then as long as the container is there, with its names while it runs", async () => {
    attachments.grant([]);
    const { address, release } = await place("10.5.0.3");
    assert.equal(address, "10.5.0.3");
    attachments.poke();
    await delay(50);
    assert.deepEqual(last().length, 1);
    containers = [container("c", "10.5.0.3")];
    release();
    await until("its names are told", () => last()[0]?.names.length === 3);
    assert.deepEqual(last()[0]!.names, ["c", "c0123456789a", "alias"]);
    containers = [container("c", "10.5.0.3", false)];
    attachments.poke();
    await until("it has none any more", () => last()[0]?.names.length === 0);
    containers = [];
    attachments.poke();
    await until("it is given up", () => last().length === 0);
  });

  it("are given up when no container comes of them, and told again to the next manager", async () => {
    attachments.grant([]);
    const { release } = await place("10.5.0.3");
    const before = told.length;
    attachments.opened();
    await until("it is told again", () => told.length > before);
    release();
    await until("it is given up", () => last().length === 0);
  });

  it("are refused with the managers' error", async () => {
    attachments.grant([]);
    const refused = attachments.attach("closed", "");
    await until("it is asked for", () => told.length > 0);
    attachments.refused({
      id: last()[0]!.id,
      code: "network_not_attachable",
      text: "not manually attachable",
    });
    await assert.rejects(refused, (error) => isCreelError(error, "network_not_attachable"));
    const full = attachments.attach("mesh", "");
    await until("it is asked for", () => last()[0]?.network === "mesh");
    grant("", "no address is left");
    await assert.rejects(full, /no address is left/);
    await until("neither is asked for any more", () => last().length === 0);
  });
});
