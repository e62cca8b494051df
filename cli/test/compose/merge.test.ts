import assert from "node:assert/strict";
import { load } from "./support.ts";

const both = (a: string, b: string, env = {}) => load({ "a.yaml": a, "b.yaml": b }, env).model;

describe("several compose files", () => {
  it("are laid one over the other", () => {
    const { services, networks } = both(
      `services:
  web:
    image: a
    command: [one]
    environment: {A: "1", B: "1"}
    ports: ["80:80", "90:90"]
    volumes: ["/a:/data", "/b:/b"]
    dns: 1.1.1.1
    healthcheck: {test: one, retries: 3}
    logging: {driver: json-file, options: {a: "1"}}
    deploy: {replicas: 2, labels: {x: "1"}}
networks: {front: {attachable: true}}`,
      `services:
  web:
    command: [two, three]
    environment: [B=2, C=2]
    ports: ["80:80", "91:90"]
    volumes: ["/c:/data:ro"]
    dns: [8.8.8.8]
    healthcheck: {test: [CMD, two]}
    logging: {options: {b: "2"}}
    deploy: {replicas: 3, labels: [y=2]}
  more: {image: b}
networks: {front: {internal: true}}`,
    );
    const { web } = services;
    assert.deepEqual(Object.keys(services), ["web", "more"]);
    assert.deepEqual(web!.command, ["two", "three"]);
    assert.deepEqual(web!.environment, { A: "1", B: "2", C: "2" });
    assert.deepEqual(
      web!.ports!.map(({ published, target }) => [published, target]),
      [
        [80, 80],
        [90, 90],
        [91, 90],
      ],
    );
    assert.deepEqual(
      web!.volumes!.map(({ source, target }) => [source, target]),
      [
        ["/c", "/data"],
        ["/b", "/b"],
      ],
    );
    assert.deepEqual(web!.dns, ["1.1.1.1", "8.8.8.8"]);
    assert.deepEqual(web!.healthcheck, { test: ["CMD", "two"], retries: 3 });
    assert.deepEqual(web!.logging, { driver: "json-file", options: { a: "1", b: "2" } });
    assert.deepEqual(web!.deploy, { replicas: 3, labels: { x: "1", y: "2" } });
    assert.deepEqual(networks.front, { attachable: true, internal: true });
  });

  it("take away and replace what they mark", () => {
    const { web } = both(
      'services: {web: {image: a, ports: ["1:1"], dns: [1.1.1.1], environment: {A: "1", B: "2"}, user: me}}',
      'services: {web: {ports: !override ["2:2"], dns: !reset [], environment: {A: !reset null}, user: !reset null}}',
    ).services;
    assert.deepEqual(web, {
      image: "a",
      ports: [{ mode: "ingress", target: 2, published: 2, protocol: "tcp" }],
      environment: { B: "2" },
    });
  });

  it("say anew where a secret's data comes from", () => {
    const base = "services: {web: {image: a}}\nsecrets: {s: {file: ./a, labels: {x: y}}}";
    assert.deepEqual(both(base, "secrets: {s: {content: b}}").secrets.s, {
      content: "b",
      labels: { x: "y" },
    });
    assert.deepEqual(both(base, "secrets: {s: {external: true, name: t}}").secrets.s, {
      external: true,
      name: "t",
      labels: { x: "y" },
    });
  });

  it("leave a driver's options to that driver", () => {
    const { web } = both(
      "services: {web: {image: a, logging: {driver: one, options: {a: x}}}}",
      "services: {web: {logging: {driver: two, options: {b: y}}}}",
    ).services;
    assert.deepEqual(web!.logging, { driver: "two", options: { b: "y" } });
  });
});

describe("extends", () => {
  it("takes a service of this file or another, whose paths are meant from its own folder", () => {
    const { model } = load({
      "a.yaml": `services:
  base: {image: a, environment: {A: "1", B: "1"}, volumes: [./x:/x]}
  web: {extends: base, environment: {B: "2"}}
  far: {extends: {file: ./sub/common.yaml, service: far}, user: me}`,
      "sub/common.yaml": `services:
  root: {image: r, command: [r]}
  far: {extends: {service: root}, image: f, volumes: [./y:/y]}`,
    });
    const { web, far } = model.services;
    assert.deepEqual(web, {
      image: "a",
      environment: { A: "1", B: "2" },
      volumes: [{ type: "bind", source: "/stack/x", target: "/x" }],
    });
    assert.deepEqual(far, {
      image: "f",
      command: ["r"],
      user: "me",
      volumes: [{ type: "bind", source: "/stack/sub/y", target: "/y" }],
    });
  });
});
