import assert from "node:assert/strict";
import { projectName } from "../../src/compose/load.ts";
import { load, one, wrong } from "./support.ts";

const service = (lines: string) => `services:\n  web:\n    image: a\n${lines.replace(/^/gm, "    ")}`;
const web = (lines: string, env = {}, more = {}) => one(service(lines), env, more).model.services.web!;

describe("a compose file", () => {
  it("is read in its short forms", () => {
    assert.deepEqual(web('ports: ["80:8080", 90, "53:53/udp", "7000-7001:8000-8001"]').ports, [
      { mode: "ingress", target: 8080, published: 80, protocol: "tcp" },
      { mode: "ingress", target: 90, protocol: "tcp" },
      { mode: "ingress", target: 53, published: 53, protocol: "udp" },
      { mode: "ingress", target: 8000, published: 7000, protocol: "tcp" },
      { mode: "ingress", target: 8001, published: 7001, protocol: "tcp" },
    ]);
    assert.deepEqual(web("volumes: [./here:/there:ro, ~/x:/x, /anonymous]", { HOME: "/home/me" }).volumes, [
      { type: "bind", source: "/stack/here", target: "/there", read_only: true },
      { type: "bind", source: "/home/me/x", target: "/x" },
      { type: "volume", target: "/anonymous" },
    ]);
    assert.deepEqual(web("command: serve 'two words'").command, ["serve", "two words"]);
    assert.deepEqual(web("healthcheck: {test: check me}").healthcheck, { test: ["CMD-SHELL", "check me"] });
    assert.deepEqual(web("ulimits: {nofile: 5}").ulimits, { nofile: { soft: 5, hard: 5 } });
    assert.deepEqual(web("extra_hosts: ['a:1.2.3.4', 'b=::1', 'c:[::2]']").extra_hosts, [
      "a:1.2.3.4",
      "b:::1",
      "c:::2",
    ]);
    assert.deepEqual(web("tmpfs: /run").tmpfs, ["/run"]);
  });

  it("keeps words as they were written, and takes file modes as octal", () => {
    const { environment, secrets } = one(
      `${service("environment: {VERSION: 1.10, ON: on, YES: true, NONE: , N: 0x10}\nsecrets: [{source: s, mode: 0440}, {source: s, target: t, mode: 0o400}]")}
secrets: {s: {external: true}}`,
    ).model.services.web!;
    assert.deepEqual(environment, { VERSION: "1.10", ON: "on", YES: "true", NONE: null, N: "0x10" });
    assert.deepEqual(
      secrets!.map(({ mode }) => mode),
      [0o440, 0o400],
    );
  });

  it("has anchors, merge keys and fields of anybody's own", () => {
    const { model } = one(`
x-base: &base {image: a, labels: {x: "1"}}
x-more: &more {user: me}
services:
  one: {<<: *base, user: other}
  two:
    <<: [*base, *more]
    labels: {y: "2"}
    x-note: hi
`);
    assert.deepEqual(model.services.one, { image: "a", labels: { x: "1" }, user: "other" });
    assert.deepEqual(model.services.two, { image: "a", user: "me", labels: { y: "2" }, "x-note": "hi" });
    assert.deepEqual(model["x-more"], { user: "me" });
  });

  it("takes the environment of files, of the shell, and of its own, the last first", () => {
    const env = web(
      "env_file: [one.env, {path: none.env, required: false}]\nenvironment: [B=own, SHELL_HAS, NOBODY_HAS]",
      { SHELL_HAS: "yes", A_NAME: "x" },
      { "one.env": "A='${A_NAME}'\nB=file\nC=\"${A_NAME} y\" # said\nexport D=${C}\nSHELL_HAS" },
    ).environment;
    assert.deepEqual(env, {
      A: "${A_NAME}",
      B: "own",
      C: "x y",
      D: "x y",
      SHELL_HAS: "yes",
      NOBODY_HAS: null,
    });
  });

  it("takes variables of .env, which the shell's go before", () => {
    const files = { "a.yaml": "services: {web: {image: '$NAME:$TAG'}}", ".env": "NAME=dot\nTAG=dot" };
    assert.equal(load(files, { TAG: "shell" }).model.services.web!.image, "dot:shell");
  });

  it("leaves out services of profiles that are not asked for", () => {
    const text = "services: {a: {image: a}, b: {image: b, profiles: [debug]}}";
    assert.deepEqual(Object.keys(one(text).model.services), ["a"]);
    const both = load({ "a.yaml": text }, {}, { profiles: ["debug"] });
    assert.deepEqual(Object.keys(both.model.services), ["a", "b"]);
  });

  it("says once what is ignored", () => {
    const { notes } = one(
      `services:
  web: {image: a, build: ., privileged: true, depends_on: [db]}
  db: {image: $NOT_SET, build: {context: .}}`.replace("$NOT_SET", "a$NOT_SET"),
    );
    assert.deepEqual(notes, [
      'The "NOT_SET" variable is not set. Defaulting to a blank string.',
      "Ignoring unsupported options: build, depends_on, privileged",
    ]);
  });

  it("names its stack", () => {
    assert.equal(projectName(one("name: shop\nservices: {a: {image: a}}")), "shop");
    assert.equal(projectName(one("services: {a: {image: a}}")), "stack");
  });

  it("reads the data of secrets and configs", () => {
    const { contents } = one(
      `services: {web: {image: a}}
secrets: {f: {file: ./data}, e: {environment: TOKEN}, x: {external: true}}
configs: {c: {content: "level=$LEVEL"}}`,
      { TOKEN: "t", LEVEL: "5" },
      { data: "bytes" },
    );
    assert.deepEqual(
      [...contents.secrets].map(([name, data]) => [name, data.toString()]),
      [
        ["f", "bytes"],
        ["e", "t"],
      ],
    );
    assert.equal(contents.configs.get("c")!.toString(), "level=5");
  });
});

describe("a compose file with mistakes", () => {
  const cases: [string, string, RegExp][] = [
    [
      "a key",
      service("prots: [80]"),
      /^a\.yaml:4:5: services\.web\.prots: unknown key; did you mean ports\?$/,
    ],
    ["a key at the top", "servics: {}", /a\.yaml:1:1: servics: unknown key; did you mean services\?/],
    [
      "a key below",
      service("deploy: {update_config: {paralelism: 1}}"),
      /4:30: services\.web\.deploy\.update_config\.paralelism: unknown key; did you mean parallelism\?/,
    ],
    ["a type", service("image: 5"), /not YAML: Map keys must be unique/],
    [
      "a number for a string",
      "services: {web: {image: 5}}",
      /1:25: services\.web\.image: must be a string, not 5; in quotes: "5"/,
    ],
    ["a list for a mapping", "services: [a]", /services: must be a mapping, not a list/],
    ["NaN replicas", service("deploy: {replicas: .nan}"), /replicas: must be a number/],
    [
      "negative replicas",
      service("deploy: {replicas: -1}"),
      /replicas: must be a whole number of at least 0, not -1/,
    ],
    ["half a replica", service("deploy: {replicas: 1.5}"), /must be a whole number/],
    ["a duration", service("stop_grace_period: soon"), /"soon" is no duration/],
    ["an amount", service("deploy: {resources: {limits: {memory: lots}}}"), /"lots" is no amount of bytes/],
    ["cores", service("deploy: {resources: {limits: {cpus: -1}}}"), /"-1" is no number of cores/],
    ["a mode", service("deploy: {mode: globl}"), /must be replicated or global .*did you mean global\?/],
    ["a port", service('ports: ["80:99999"]'), /ports\[0\]: "80:99999" is no port/],
    ["ranges", service('ports: ["80-82:90-91"]'), /"80-82:90-91" is no port; .*ranges of one length/],
    ["a port twice", service('ports: ["80:1", "80:2"]'), /port 80\/tcp is published twice/],
    ["a volume", service("volumes: ['a:/b:c:d']"), /too many colons/],
    ["a volume's option", service("volumes: ['/a:/b:rx']"), /unknown option rx/],
    ["two mounts", service("volumes: ['/a:/b', '/c:/b']"), /volumes\[1\]: there is a mount at \/b already/],
    [
      "a volume that is not there",
      service("volumes: ['data:/b']"),
      /4:15: services\.web\.volumes\[0\]: undefined volume "data"/,
    ],
    [
      "a network that is not there",
      `${service("networks: [frnt]")}\nnetworks: {front: }`,
      /4:16: services\.web\.networks\.frnt: undefined network "frnt"; did you mean front\?/,
    ],
    ["a secret that is not there", service("secrets: [s]"), /undefined secret "s"/],
    ["no image", "services: {web: {build: .}}", /services\.web: needs an image; build it/],
    ["no services", "networks: {a: }", /there are no services to run/],
    ["global replicas", service("deploy: {mode: global, replicas: 2}"), /goes with mode replicated/],
    [
      "test and disable",
      service("healthcheck: {test: a, disable: true}"),
      /test and disable cannot both be given/,
    ],
    [
      "a forbidden key",
      service("mem_limit: 5m"),
      /mem_limit: is not supported; use deploy\.resources\.limits\.memory/,
    ],
    [
      "a range of addresses",
      `${service("")}\nnetworks: {n: {ipam: {config: [{subnet: 10.1.0.0/24, ip_range: 10.1.0.0/25}]}}}`,
      /networks\.n\.ipam\.config\[0\]\.ip_range: is not supported; the cluster gives out the whole subnet/,
    ],
    ["a version", "version: '2.1'\nservices: {a: {image: a}}", /version "2\.1" is not supported/],
    ["no YAML", "services:\n  web: [", /a\.yaml:2:\d+: not YAML/],
    ["a tab", "services:\n\tweb: {image: a}", /a\.yaml:2:1: not YAML: .*indent by blanks/],
    ["not a mapping", "- a", /a\.yaml:1:1: a compose file is a mapping/],
    ["nothing", "", /a compose file is a mapping/],
    ["an alias without an anchor", "services: {web: *none}", /not YAML|no anchor/],
    [
      "a variable",
      service("user: ${WHO:?name a user}"),
      /4:11: services\.web\.user: required variable WHO is missing a value: name a user/,
    ],
    ["a dollar", service("command: pay $5"), /invalid interpolation in "pay \$5".*write \$\$ for a plain \$/],
    ["a brace", service("user: ${WHO"), /a } is missing/],
    [
      "a secret's file",
      `${service("secrets: [s]")}\nsecrets: {s: {file: ./none}}`,
      /secrets\.s: cannot read \/stack\/none: there is no such file/,
    ],
    [
      "a secret's variable",
      `${service("secrets: [s]")}\nsecrets: {s: {environment: NONE}}`,
      /the variable NONE is not set/,
    ],
    [
      "a secret of nothing",
      `${service("")}\nsecrets: {s: {}}`,
      /needs one of file, environment, content or external/,
    ],
    ["two sources", `${service("")}\nsecrets: {s: {file: a, content: b}}`, /only one of file and content/],
    [
      "external and file",
      `${service("")}\nsecrets: {s: {file: a, external: true}}`,
      /external and file conflict/,
    ],
    [
      "an env_file",
      service("env_file: none.env"),
      /env_file: cannot read \/stack\/none\.env: there is no such file/,
    ],
    ["a name", "services: {'a b': {image: a}}", /services\.a b: a name has letters/],
    ["extends", service("extends: base"), /there is no service base in a\.yaml/],
    ["extends in a ring", "services: {a: {extends: b}, b: {extends: a}}", /a extends itself/],
  ];
  for (const [what, text, expected] of cases) {
    it(`says where ${what} is wrong`, () => assert.match(wrong(text), expected));
  }

  it("is told all at once, in order", () => {
    const lines = wrong(`services:\n  web:\n    image: 5\n    prots: []\n    tty: perhaps`).split("\n");
    assert.deepEqual(
      lines.map((line) => line.split(": ")[0]),
      ["a.yaml:3:12", "a.yaml:4:5", "a.yaml:5:10"],
    );
  });

  it("is bounded: aliases of aliases, depth, size", () => {
    const bomb = ["a: &a [x,x,x,x,x,x,x,x,x,x]"];
    for (let i = 1; i < 12; i++) {
      const [name, before] = [String.fromCharCode(97 + i), String.fromCharCode(96 + i)];
      bomb.push(`${name}: &${name} [${`*${before},`.repeat(9)}*${before}]`);
    }
    assert.match(wrong(bomb.join("\n")), /more than 200000 values once its aliases are written out/);
    assert.match(wrong("a: &a {b: *a}\nservices: {}"), /holds itself|not YAML/);
    assert.match(wrong(`services: ${"[".repeat(100)}${"]".repeat(100)}`), /nested deeper than 64 levels/);
    assert.match(wrong(`services: ${"[".repeat(20_000)}${"]".repeat(20_000)}`), /nested/);
    assert.match(wrong(`x-a: ${"a".repeat(5 << 20)}`), /larger than 4 MiB/);
  });

  it("is told when data is too large", () => {
    const text = `${service("")}\nsecrets: {s: {file: ./big}}`;
    assert.match(
      wrong(text, {}, { big: "x".repeat(512_001) }),
      /secrets\.s: 512001 bytes are too many: at most 512000/,
    );
  });
});
