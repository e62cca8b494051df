import {
  type Clock,
  CreelError,
  type ErrorCode,
  type Logger,
  messageOf,
  newId,
  type Random,
  registry,
  type Timer,
} from "@creel/shared";
import type { AttachmentRefusal, AttachmentWish } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import type { NodeAttachment } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { Container } from "@creel/shared/gen/engine/v1/container.ts";
import type { Engine } from "../ports.ts";

const ATTACH_MS = 15_000;
/** What happens to containers within that time is told together. */
const GATHER_MS = 30;
const RETRY_MS = 1_000;
const SHORT_ID = 12;

/** A place on a network of the cluster, for a container that is about to be put on it. */
export interface Place {
  address: string;
  /** The container has it now, or has not come to be: what no container has is given back. */
  release(): void;
}

/** What {@link Attachments} works with. */
export interface AttachmentsOptions {
  engine: Pick<Engine, "everyContainer">;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** Tells the managers, if there is a session; else `opened` is called once there is one. */
  send(attachments: AttachmentWish[]): void;
}

interface Asked {
  wish: AttachmentWish;
  granted(place: NodeAttachment): void;
  failed(error: CreelError): void;
}

/**
 * The node's containers that are no tasks, on the cluster's networks. The managers are always told all there are: what
 * the engine has lost, they give to others.
 */
export class Attachments {
  readonly #options: AttachmentsOptions;
  readonly #asked = new Map<string, Asked>();
  /** Given, and not released by those who asked. */
  readonly #held = new Set<string>();
  /** As the managers know them; undefined until they have said it once. */
  #granted: NodeAttachment[] | undefined;
  #told = "[]";
  #timer: Timer | undefined;
  #looking = false;
  #again = false;
  #stopped = false;

  constructor(options: AttachmentsOptions) {
    this.#options = options;
  }

  /**
   * Asks for a place on the network of that id or name. Rejects as the managers refuse it: `no_such_network`,
   * `network_not_attachable`, `address_pool_exhausted`; `timeout` when none answers.
   */
  attach(network: string, address: string): Promise<Place> {
    const { clock, random } = this.#options;
    const id = newId(random);
    return new Promise((resolve, reject) => {
      if (this.#stopped) return reject(new CreelError("not_in_swarm"));
      const done = () => {
        timer.cancel();
        this.#asked.delete(id);
        this.#schedule(0);
      };
      const failed = (error: CreelError) => {
        done();
        reject(error);
      };
      const timer = clock.after(ATTACH_MS, () =>
        failed(new CreelError("timeout", { what: `a place on network ${network}`, ms: ATTACH_MS })),
      );
      this.#asked.set(id, {
        wish: { id, network, address, names: [], container: "" },
        granted: (place) => {
          this.#held.add(id);
          done();
          resolve({
            address: place.address,
            release: () => {
              this.#held.delete(id);
              this.#schedule(0);
            },
          });
        },
        failed,
      });
      this.#schedule(0);
    });
  }

  /** What the managers have given; their networks are on this node. */
  grant(attachments: NodeAttachment[]): void {
    this.#granted = attachments;
    for (const attachment of attachments) {
      const asked = this.#asked.get(attachment.id);
      if (attachment.err !== "") {
        asked?.failed(new CreelError("address_pool_exhausted", { message: attachment.err }));
      } else asked?.granted(attachment);
    }
    this.#schedule(0);
  }

  /** The managers' no. */
  refused({ id, code, text }: AttachmentRefusal): void {
    const known = code in registry ? (code as ErrorCode) : "internal";
    this.#asked.get(id)?.failed(CreelError.withText(known, text));
  }

  /** A session is open: its manager has been told nothing yet. */
  opened(): void {
    this.#told = "";
    this.#schedule(0);
  }

  /** A container may have come, gone, or changed. */
  poke(): void {
    if (this.#granted?.length) this.#schedule(GATHER_MS);
  }

  /** Nothing is told any more; whoever waits is told so. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    for (const { failed } of [...this.#asked.values()]) {
      failed(new CreelError("stopped", { what: "this node's part in the swarm" }));
    }
  }

  #schedule(ms: number): void {
    if (this.#stopped || this.#granted === undefined) return;
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#timer ??= this.#options.clock.after(ms, () => {
      this.#timer = undefined;
      void this.#look();
    });
  }

  async #look(): Promise<void> {
    this.#looking = true;
    this.#again = false;
    let retry = false;
    try {
      this.#tell(await this.#wishes());
    } catch (error) {
      retry = true;
      this.#options.logger.debug({ err: messageOf(error) }, "attachments not looked at; tries again");
    }
    this.#looking = false;
    if (this.#again || retry) this.#schedule(retry ? RETRY_MS : 0);
  }

  async #wishes(): Promise<AttachmentWish[]> {
    const granted = this.#granted ?? [];
    const held = new Set(this.#held);
    const containers = granted.length > 0 ? await this.#options.engine.everyContainer() : [];
    const wishes = [...this.#asked.values()].map(({ wish }) => wish);
    for (const attachment of granted) {
      const { id, networkId, wishedAddress } = attachment;
      const container = containers.find((each) => has(each, attachment));
      if (!container && !held.has(id)) continue;
      wishes.push({
        id,
        network: networkId,
        address: wishedAddress,
        names: container ? namesOf(container, networkId) : attachment.names,
        container: container?.name ?? attachment.container,
      });
    }
    return wishes;
  }

  #tell(wishes: AttachmentWish[]): void {
    const text = JSON.stringify(wishes);
    if (text === this.#told || this.#stopped) return;
    this.#told = text;
    this.#options.send(wishes);
  }
}

/** No two containers of the cluster's networks have the same address there. */
function has({ networks, endpoints }: Container, { networkId, address }: NodeAttachment): boolean {
  return (
    address !== "" &&
    (networks.some((network) => network.address === address) ||
      endpoints.some((endpoint) => endpoint.networkId === networkId && endpoint.address === address))
  );
}

function namesOf({ id, name, endpoints }: Container, networkId: string): string[] {
  const endpoint = endpoints.find((each) => each.networkId === networkId);
  return endpoint ? [...new Set([name, id.slice(0, SHORT_ID), ...endpoint.aliases])] : [];
}
