import assert from "node:assert/strict";
import { seededRandom } from "@creel/shared";
import type { Balancer, Peer } from "@creel/shared/gen/engine/v1/network.ts";
import { NetworkPicture } from "../../src/dispatcher/pictures.ts";
import { ToldNetwork } from "../harness/agent.ts";

const balancer = (id: string, ...addresses: string[]): Balancer => ({
  id,
  networkId: "net",
  vip: "10.0.0.2",
  names: [id],
  backends: addresses.map((address) => ({ address, names: [] })),
  ports: [],
});
const peer = (address: string, vtep: string): Peer => ({ address, mac: "", vtep, node: false });

describe("dispatcher/pictures", () => {
  it("tells a newcomer everything, then only what changed", () => {
    const picture = new NetworkPicture("net", () => {});
    picture.setBalancer(balancer("web", "10.0.0.3"));
    picture.setPeers("t1", "n1", [peer("10.0.0.3", "192.0.2.1")]);
    const full = picture.delta("n2", undefined)!;
    assert.equal(full.full, true);
    assert.deepEqual([full.set.length, full.setPeers.length], [1, 1]);
    assert.equal(picture.delta("n1", undefined)!.setPeers.length, 0, "its own addresses are no peers");
    const seen = picture.version;
    assert.equal(picture.delta("n2", seen), undefined);
    picture.setBalancer(balancer("web", "10.0.0.3"));
    assert.equal(picture.delta("n2", seen), undefined, "the same again is no change");
    picture.removeBalancer("web");
    picture.setPeers("t1", "n1", []);
    const delta = picture.delta("n2", seen)!;
    assert.deepEqual([delta.full, delta.remove, delta.removePeers], [false, ["web"], ["10.0.0.3"]]);
  });

  it("does not take an address away from its new owner", () => {
    const picture = new NetworkPicture("net", () => {});
    picture.setPeers("old", "n1", [peer("10.0.0.3", "192.0.2.1")]);
    picture.setPeers("new", "n2", [peer("10.0.0.3", "192.0.2.2")]);
    picture.setPeers("old", "n1", []);
    assert.deepEqual(
      picture.delta("n3", undefined)!.setPeers.map((known) => known.vtep),
      ["192.0.2.2"],
    );
  });

  it("however changes and deltas fall, who applies the deltas has the whole", () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    const random = seededRandom(seed);
    const pick = (n: number) => Math.floor(random.next() * n);
    const picture = new NetworkPicture("net", () => {});
    const readers = ["n0", "n1", "n2"].map((node) => ({
      node,
      told: new ToldNetwork(),
      seen: undefined as number | undefined,
    }));
    const read = (reader: (typeof readers)[number]) => {
      const delta = picture.delta(reader.node, reader.seen);
      if (delta) reader.told.apply(delta);
      reader.seen = picture.version;
    };
    for (let step = 0; step < 20_000; step++) {
      const id = `s${pick(20)}`;
      const owner = `t${pick(50)}`;
      if (pick(4) === 0) picture.removeBalancer(id);
      else picture.setBalancer(balancer(id, `10.0.0.${pick(200)}`));
      if (pick(3) === 0) picture.setPeers(owner, "", []);
      else picture.setPeers(owner, `n${pick(3)}`, [peer(`10.0.1.${pick(60)}`, `192.0.2.${pick(3)}`)]);
      // the third reads so seldom that the log no longer reaches back
      if (pick(3) === 0) read(readers[pick(2)]!);
    }
    for (const reader of readers) {
      read(reader);
      const whole = new ToldNetwork();
      whole.apply(picture.delta(reader.node, undefined)!);
      const sorted = (map: Map<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
      assert.deepEqual(sorted(reader.told.balancers), sorted(whole.balancers), `seed ${seed}`);
      assert.deepEqual(sorted(reader.told.peers), sorted(whole.peers), `seed ${seed}`);
    }
  });
});
