import { CreelError, type Logger } from "@creel/shared";
import type {
  AgentMessage,
  AttachmentRefusal,
  AttachmentReport,
  DispatcherMessage,
  Hello,
  StatusReport,
} from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import type { NodeDescription, NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { StoreView } from "../store/mod.ts";
import { AssignmentTracker } from "./assignments.ts";
import type { Endpoints } from "./endpoints.ts";

export type AgentStream = ServerDuplexStream<AgentMessage, DispatcherMessage>;

/** Version of the protocol that this manager speaks. */
export const PROTOCOL = 1;
/** An agent waits for answers before it has sent so many reports. */
const MAX_UNANSWERED_REPORTS = 16;

/** What a session asks of its dispatcher. */
export interface SessionHost {
  /** Takes the node in; resolves when a majority knows that it is ready. */
  welcome(session: Session, hello: Hello): Promise<void>;
  heard(session: Session): void;
  report(session: Session, report: StatusReport): Promise<void>;
  /** The node is another than it said at first. */
  described(session: Session, description: NodeDescription): Promise<void>;
  /** What its containers have on the cluster's networks, or ask for. */
  attached(session: Session, report: AttachmentReport): Promise<void>;
  goodbye(session: Session): Promise<void>;
  /** The agent can be told more. */
  ready(session: Session): void;
  closed(session: Session): void;
  refuse(stream: AgentStream, error: unknown): void;
}

/** One agent's stream: what it says is handed to the dispatcher, what it is to know is sent, one batch at a time. */
export class Session {
  readonly nodeId: string;
  /** Role of the certificate it came with. */
  readonly role: NodeRole;
  readonly addr: string;
  readonly tracker: AssignmentTracker;
  readonly #stream: AgentStream;
  readonly #host: SessionHost;
  readonly #log: Logger;
  #state: "new" | "joining" | "open" | "closed" = "new";
  #unacknowledged = 0;
  #unanswered = 0;
  #toldPeriod = 0;
  #toldRole: NodeRole | undefined;
  #toldManagers = "";
  #toldTrust: Buffer | undefined;

  constructor(
    stream: AgentStream,
    peer: { nodeId: string; certifiedRole: NodeRole },
    addr: string,
    host: SessionHost,
    log: Logger,
  ) {
    this.nodeId = peer.nodeId;
    this.role = peer.certifiedRole;
    this.addr = addr;
    this.tracker = new AssignmentTracker(peer.nodeId);
    this.#stream = stream;
    this.#host = host;
    this.#log = log.child({ node: peer.nodeId });
    stream.on("data", (message: AgentMessage) => this.#take(message));
    stream.on("end", () => this.close());
    stream.on("cancelled", () => this.close());
    stream.on("error", () => this.close());
  }

  get open(): boolean {
    return this.#state === "open";
  }

  /** Opens the downward half: the first message, once the node counts as ready. */
  begin(heartbeatPeriod: number, clusterId: string): void {
    if (this.#state !== "joining") return;
    this.#state = "open";
    this.tellPeriod(heartbeatPeriod, clusterId);
  }

  /** Tells how often the agent is to be heard of, by another Welcome where that changes. */
  tellPeriod(heartbeatPeriod: number, clusterId: string): void {
    if (!this.open || heartbeatPeriod === this.#toldPeriod) return;
    this.#toldPeriod = heartbeatPeriod;
    this.#send({ kind: { $case: "welcome", value: { heartbeatPeriod, clusterId } } });
  }

  /** Sends what changed, unless the last batch is not acknowledged yet; `ready` will be called then. */
  flush(view: StoreView, endpoints: Endpoints): void {
    if (!this.open || this.#unacknowledged !== 0) return;
    const assignments = this.tracker.next(view, endpoints);
    if (!assignments) return;
    this.#unacknowledged = assignments.sequence;
    this.#send({ kind: { $case: "assignments", value: assignments } });
  }

  /** Tells the managers' addresses, if they are not those told last. */
  tellManagers(addrs: string[]): void {
    const text = addrs.join(" ");
    if (!this.open || text === this.#toldManagers) return;
    this.#toldManagers = text;
    this.#send({ kind: { $case: "managers", value: { addrs } } });
  }

  /** Tells the role the node is to have, where its certificate says another. */
  tellRole(role: NodeRole): void {
    if (!this.open || (this.#toldRole ?? this.role) === role) return;
    this.#toldRole = role;
    this.#send({ kind: { $case: "role", value: role } });
  }

  /** Tells the roots that the node is to trust, if they are not those told last. */
  tellTrust(roots: Buffer): void {
    if (!this.open || this.#toldTrust?.equals(roots)) return;
    this.#toldTrust = roots;
    this.#send({ kind: { $case: "trust", value: roots } });
  }

  /** Tells why a container is not put on a network. */
  tellRefusal(refusal: AttachmentRefusal): void {
    if (this.open) this.#send({ kind: { $case: "refusal", value: refusal } });
  }

  /** Ends the stream; with an error, that is what the agent sees. */
  close(error?: unknown): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#host.closed(this);
    if (error === undefined) this.#stream.end();
    else this.#host.refuse(this.#stream, error);
  }

  #send(message: DispatcherMessage): void {
    this.#stream.write(message);
  }

  #take({ kind }: AgentMessage): void {
    if (this.#state === "closed") return;
    if (kind?.$case === "hello") {
      this.#hello(kind.value);
    } else if (this.#state === "new") {
      this.close(invalid("the first message of a session must be Hello"));
    } else {
      this.#host.heard(this);
      if (kind?.$case === "heartbeat" && this.open) this.#send({ kind: { $case: "heartbeat", value: {} } });
      else if (kind?.$case === "ack") this.#acknowledged(kind.value.sequence);
      else if (kind?.$case === "report") this.#report(kind.value);
      else if (kind?.$case === "description")
        this.#host.described(this, kind.value).catch((error) => this.close(error));
      else if (kind?.$case === "attachments")
        this.#host.attached(this, kind.value).catch((error) => this.close(error));
      else if (kind?.$case === "goodbye") this.#host.goodbye(this).catch((error) => this.close(error));
    }
  }

  #hello(hello: Hello): void {
    if (this.#state !== "new") {
      this.close(invalid("a session has one Hello only"));
    } else if (hello.protocol !== PROTOCOL) {
      this.close(new CreelError("protocol_mismatch", { found: hello.protocol, known: PROTOCOL }));
    } else {
      this.#state = "joining";
      this.#host.welcome(this, hello).catch((error) => this.close(error));
    }
  }

  #acknowledged(sequence: number): void {
    if (sequence !== this.#unacknowledged) return;
    this.#unacknowledged = 0;
    this.#host.ready(this);
  }

  #report(report: StatusReport): void {
    if (report.taken !== 0) this.#acknowledged(report.taken);
    if (this.#unanswered >= MAX_UNANSWERED_REPORTS) {
      this.close(new CreelError("queue_full"));
      return;
    }
    this.#unanswered++;
    this.#host.report(this, report).then(
      () => {
        this.#unanswered--;
        if (this.#state === "closed") return;
        this.#send({ kind: { $case: "reportAck", value: { sequence: report.sequence } } });
      },
      (error) => {
        this.#log.debug({ error }, "a status report was not taken");
        this.close(error);
      },
    );
  }
}

function invalid(message: string): CreelError {
  return new CreelError("invalid_parameter", { message });
}
