import { spawn } from "node:child_process";
import { existsSync, readdirSync, rmdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import { ContextStore, checkName, type StoredContext } from "../../config/contexts.ts";
import type { Context } from "../../context.ts";
import { Exit } from "../../error.ts";
import { invalid } from "../../invalid.ts";
import { type ListOptions, listing, listOptions, type View } from "../../output/listing.ts";
import type { Bind } from "../../program.ts";
import { whole } from "../options.ts";
import { examples } from "../words.ts";

/** The mark of contexts that stand for a lab: its folder. */
const MARK = "CreelLab";
const DEFAULT_NAME = "lab";

interface UpOptions {
  nodes: number;
  managers?: number;
  dir?: string;
}

/** `creel cluster up` */
export function up(command: Command, bind: Bind): void {
  command
    .argument("[name]", "its name, and that of its context", DEFAULT_NAME)
    .option("--nodes <n>", "how many nodes", whole, 3)
    .option("--managers <n>", "how many of them are managers (default: at most 3)", whole)
    .option("--dir <dir>", "where it keeps its data and logs (default: /tmp/creel-NAME)")
    .action(
      bind(async ({ print }: Context, name: string, o: UpOptions) => {
        const store = new ContextStore();
        if (store.find(name) !== undefined)
          throw invalid(`there is a context "${name}" already: creel cluster down ${name}, or another name`);
        checkName(name);
        const dir = resolve(o.dir ?? `/tmp/creel-${name}`);
        const managers = o.managers === undefined ? [] : ["--managers", String(o.managers)];
        await lab("up", "--dir", dir, "--nodes", String(o.nodes), ...managers).finally(() =>
          removeEmpty(dir),
        );
        store.save(
          {
            Name: name,
            Metadata: { Description: `a lab of ${o.nodes} nodes in ${dir}`, [MARK]: dir },
            Endpoints: { docker: { Host: `unix://${join(dir, "node1/creel.sock")}`, SkipTLSVerify: false } },
          },
          {},
        );
        print(`\nThe lab is the context "${name}", for creel and for docker:`);
        print(`  creel -c ${name} node ls`);
        print(`  creel context use ${name}`);
        print(`  creel cluster down${name === DEFAULT_NAME ? "" : ` ${name}`}`);
      }),
    );
  examples(
    command,
    "creel cluster up --nodes 3",
    "creel -c lab service create --name web --replicas 3 -p 8080:8080 whoami",
  );
}

interface Row {
  lab: string;
  node: string;
  address: string;
  state: string;
  host: string;
  dir: string;
}
const view: View<Row> = {
  fields: {
    Lab: (it) => it.lab,
    Node: (it) => it.node,
    Address: (it) => it.address,
    State: (it) => it.state,
    Host: (it) => it.host,
    Dir: (it) => it.dir,
  },
  headings: { Lab: "LAB", Node: "NODE", Address: "ADDRESS", State: "STATE", Host: "HOST", Dir: "DIR" },
  columns: ["Lab", "Node", "Address", "State", "Host"],
  quiet: "Lab",
};

/** `creel cluster ls` */
export function ls(command: Command, bind: Bind): void {
  listOptions(command, { trunc: false, quiet: "only the labs' names" }).action(
    bind(async ({ print }: Context, o: ListOptions) => {
      const rows: Row[] = [];
      for (const { name, dir } of labs()) rows.push(...(await nodesOf(name, dir)));
      if (!o.quiet) for (const line of await listing(rows, view, o)) print(line);
      else for (const { name } of labs()) print(name);
    }),
  );
  examples(command, "creel cluster ls");
}

/** `creel cluster down` */
export function down(command: Command, bind: Bind): void {
  command
    .argument("[name]", "which lab", DEFAULT_NAME)
    .option("--dir <dir>", "its folder, where its context is gone")
    .action(
      bind(async ({ print }: Context, name: string, o: { dir?: string }) => {
        const store = new ContextStore();
        const known = labs().find((each) => each.name === name);
        const dir = o.dir ?? known?.dir ?? `/tmp/creel-${name}`;
        if (!existsSync(join(dir, "lab.json")) && known === undefined)
          throw invalid(`there is no lab "${name}": see creel cluster ls`);
        if (existsSync(join(dir, "lab.json"))) await lab("down", "--dir", dir);
        removeEmpty(dir);
        if (known !== undefined) {
          if (store.current() === name) store.use("default");
          store.remove(name);
        }
        print(name);
      }),
    );
  examples(command, "creel cluster down", "creel cluster down --dir /tmp/creel-lab");
}

/** A lab that is down, or never came up, leaves its folder empty, unless something else was put into it. */
function removeEmpty(dir: string): void {
  if (existsSync(dir) && readdirSync(dir).length === 0) rmdirSync(dir);
}

function labs(): { name: string; dir: string }[] {
  const marked = (context: StoredContext) => context.Metadata[MARK];
  return new ContextStore()
    .list()
    .flatMap((context) =>
      typeof marked(context) === "string" ? { name: context.Name, dir: marked(context) as string } : [],
    );
}

async function nodesOf(name: string, dir: string): Promise<Row[]> {
  const gone = { lab: name, node: "-", address: "-", state: "gone", host: "-", dir };
  if (!existsSync(join(dir, "lab.json"))) return [gone];
  const said = await lab("ls", "--dir", dir, { capture: true });
  return said
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [node = "", address = "", state = ""] = line.split("\t");
      return { lab: name, node, address, state, host: `unix://${join(dir, node, "creel.sock")}`, dir };
    });
}

/** Runs the checkout's lab program, which makes nodes out of namespaces, to its end. */
async function lab(...words: (string | { capture: true })[]): Promise<string> {
  // From `cli/src/main.ts` as from `build/creel/main.cjs`.
  const program = join(dirname(process.argv[1]!), "../../tools/lab");
  if (!existsSync(program))
    throw invalid(
      "labs are made from a checkout of Creel: this creel is an installed one, which has no tools/lab",
    );
  const args = words.filter((word) => typeof word === "string");
  const capture = args.length < words.length;
  if (process.getuid?.() !== 0 && args[0] !== "ls")
    throw invalid("root is needed to make nodes out of namespaces: run it with sudo");
  return await new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", capture ? "pipe" : "inherit", "inherit"] });
    let said = "";
    child.stdout?.on("data", (chunk: Buffer) => (said += chunk.toString()));
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(said) : reject(new Exit(code ?? 1))));
  });
}
