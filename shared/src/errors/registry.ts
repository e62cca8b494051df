/** One error: HTTP status, gRPC status, text with {parameters}, and what the person can do. */
export interface ErrorEntry {
  status: number;
  grpc: number;
  text: string;
  hint?: string;
}

const INVALID = 3;
const NOT_FOUND = 5;
const EXISTS = 6;
const DENIED = 7;
const EXHAUSTED = 8;
const PRECONDITION = 9;
const ABORTED = 10;
const UNIMPLEMENTED = 12;
const INTERNAL = 13;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

/**
 * All errors that Creel gives, in one place. Texts that Docker's clients or scripts match on are Docker's; a code is
 * for ever. `message` alone as text: the words are the engine's, which sends the code with them.
 */
export const registry = {
  // what was asked cannot be understood
  invalid_parameter: { status: 400, grpc: INVALID, text: "{message}" },
  invalid_stack_file: { status: 400, grpc: INVALID, text: "{problems}" },
  invalid_json: { status: 400, grpc: INVALID, text: "invalid JSON: {message}" },
  invalid_name: {
    status: 400,
    grpc: INVALID,
    text: "invalid name {name}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
  },
  invalid_reference: { status: 400, grpc: INVALID, text: "invalid reference format: {ref}" },
  invalid_archive: { status: 400, grpc: INVALID, text: "{message}" },
  invalid_filter: { status: 400, grpc: INVALID, text: "invalid filter '{filter}'" },
  version_too_old: {
    status: 400,
    grpc: INVALID,
    text: "client version {version} is too old. Minimum supported API version is {min}, please upgrade your client to a newer version",
  },
  version_too_new: {
    status: 400,
    grpc: INVALID,
    text: "client version {version} is too new. Maximum supported API version is {max}",
  },
  body_too_large: { status: 413, grpc: EXHAUSTED, text: "the request body is larger than {max} bytes" },
  headers_too_large: {
    status: 431,
    grpc: EXHAUSTED,
    text: "the request's line and headers are larger than 16 KiB: what is long belongs into the body",
  },
  request_too_slow: {
    status: 408,
    grpc: UNAVAILABLE,
    text: "the request was not complete in time: send its head within 15 s and its body within 30 s",
  },
  page_not_found: { status: 404, grpc: NOT_FOUND, text: "page not found" },
  route_not_implemented: {
    status: 501,
    grpc: UNIMPLEMENTED,
    text: "{method} {route} is not implemented by this version of Creel",
  },

  // engine
  no_such_container: { status: 404, grpc: NOT_FOUND, text: "No such container: {id}" },
  no_such_image: { status: 404, grpc: NOT_FOUND, text: "No such image: {ref}" },
  no_such_exec: { status: 404, grpc: NOT_FOUND, text: "No such exec instance: {id}" },
  no_such_path: { status: 404, grpc: NOT_FOUND, text: "Could not find the file {path} in container {id}" },
  no_such_network: { status: 404, grpc: NOT_FOUND, text: "network {id} not found" },
  no_such_plugin: { status: 404, grpc: NOT_FOUND, text: 'plugin "{name}" not found' },
  no_such_secret: { status: 404, grpc: NOT_FOUND, text: "secret {id} not found" },
  no_such_config: { status: 404, grpc: NOT_FOUND, text: "config {id} not found" },
  no_such_volume: { status: 404, grpc: NOT_FOUND, text: "get {name}: no such volume" },
  ambiguous_id: { status: 400, grpc: INVALID, text: "multiple IDs found with provided prefix: {id}" },
  name_in_use: { status: 409, grpc: EXISTS, text: "{message}" },
  conflict: { status: 409, grpc: PRECONDITION, text: "{message}" },
  not_modified: { status: 304, grpc: ABORTED, text: "{message}" },
  image_in_use: { status: 409, grpc: PRECONDITION, text: "{message}" },
  network_in_use: { status: 403, grpc: PRECONDITION, text: "{message}" },
  predefined_network: { status: 403, grpc: DENIED, text: "{message}" },
  volume_in_use: { status: 409, grpc: PRECONDITION, text: "{message}" },
  port_taken: { status: 500, grpc: EXISTS, text: "{message}" },
  address_pool_exhausted: { status: 400, grpc: EXHAUSTED, text: "{message}" },
  command_not_found: { status: 400, grpc: INVALID, text: "{message}" },
  container_failed: { status: 500, grpc: INTERNAL, text: "{message}" },
  unsupported: { status: 501, grpc: UNIMPLEMENTED, text: "{message}" },
  disk_full: {
    status: 500,
    grpc: EXHAUSTED,
    text: "no space left on device: {path}",
    hint: "free space on that file system, then try again",
  },
  engine_unavailable: {
    status: 503,
    grpc: UNAVAILABLE,
    text: "creel-engine does not answer on {socket}",
    hint: "it is started again by creeld; see its log in the data root",
  },
  engine_unresponsive: {
    status: 503,
    grpc: UNAVAILABLE,
    text: "creel-engine (process {pid}) has not answered for {seconds} s",
    hint: "it stands still or has too much to do: see its log in the data root; when it is killed creeld starts it again, and containers go on",
  },

  // cluster
  not_a_manager: {
    status: 503,
    grpc: PRECONDITION,
    text: 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
  },
  worker_not_manager: {
    status: 503,
    grpc: PRECONDITION,
    text: "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager.",
  },
  already_in_swarm: {
    status: 503,
    grpc: PRECONDITION,
    text: 'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.',
  },
  not_in_swarm: { status: 503, grpc: PRECONDITION, text: "This node is not part of a swarm" },
  swarm_locked: {
    status: 503,
    grpc: PRECONDITION,
    text: 'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.',
  },
  locked_leave: {
    status: 503,
    grpc: PRECONDITION,
    text: "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.",
  },
  swarm_not_locked: { status: 409, grpc: PRECONDITION, text: "swarm is not locked" },
  wrong_unlock_key: {
    status: 401,
    grpc: UNAUTHENTICATED,
    text: "swarm could not be unlocked: invalid key provided",
    hint: "a manager that was not running when the key was rotated has the key of before",
  },
  last_manager: {
    status: 503,
    grpc: PRECONDITION,
    text: "You are attempting to leave the swarm on a node that is participating as a manager. {detail}",
  },
  no_leader: {
    status: 503,
    grpc: UNAVAILABLE,
    text: "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.",
  },
  not_leader: {
    status: 503,
    grpc: UNAVAILABLE,
    text: "this manager is not the leader; the leader is {leader}",
  },
  proposal_dropped: {
    status: 503,
    grpc: UNAVAILABLE,
    text: "the change was not taken: the leader changed meanwhile; try again",
  },
  not_plannable: {
    status: 400,
    grpc: INVALID,
    text: "{what} cannot be planned: a plan is made of requests that change services, nodes or networks of a cluster",
  },
  queue_full: { status: 503, grpc: EXHAUSTED, text: "too many changes are waiting; try again in a moment" },
  too_large: {
    status: 413,
    grpc: INVALID,
    text: "the change has {size} bytes; at most {max} are taken at once",
  },
  stopped: { status: 503, grpc: UNAVAILABLE, text: "{what} is stopping" },
  timeout: { status: 504, grpc: UNAVAILABLE, text: "{what} did not answer within {ms} ms" },
  storage_damaged: {
    status: 500,
    grpc: INTERNAL,
    text: "{path} is damaged: {message}",
    hint: "a manager whose disk is damaged leaves the cluster and joins again; the others refill it",
  },
  data_format_newer: {
    status: 500,
    grpc: PRECONDITION,
    text: "{path} was written by a newer Creel (format {found}; this one knows {known})",
    hint: "start the newer version",
  },
  invalid_token: { status: 400, grpc: INVALID, text: "invalid join token" },
  wrong_token: {
    status: 400,
    grpc: UNAUTHENTICATED,
    text: "the join token was refused: it is not of this cluster, or it was rotated since",
    hint: "ask a manager for the present one: docker swarm join-token worker|manager",
  },
  expired_token: {
    status: 400,
    grpc: UNAUTHENTICATED,
    text: "the join token expired at {at}",
    hint: "ask a manager for a new one: docker swarm join-token --rotate worker|manager",
  },
  wrong_ca: {
    status: 400,
    grpc: UNAUTHENTICATED,
    text: "remote CA does not match fingerprint. Expected: {expected}, got {found}",
    hint: "the address belongs to another cluster, or somebody stands in between",
  },
  remote_unreachable: {
    status: 503,
    grpc: UNAVAILABLE,
    text: "cannot reach {addr}: {message}",
    hint: "check the address, and that port 2377/tcp is open between the nodes",
  },
  unauthenticated: { status: 401, grpc: UNAUTHENTICATED, text: "a certificate of this cluster is needed" },
  permission_denied: { status: 403, grpc: DENIED, text: "a {role} may not call {method}" },
  wrong_peer: {
    status: 503,
    grpc: UNAUTHENTICATED,
    text: "the other side is not {expected}, it is {found}",
  },
  node_removed: {
    status: 403,
    grpc: DENIED,
    text: "node {id} was removed from the cluster",
    hint: "let it leave (docker swarm leave --force) and join again with a token",
  },
  demote_last_manager: {
    status: 400,
    grpc: PRECONDITION,
    text: "attempting to demote the last manager of the swarm",
    hint: "promote another node first",
  },
  quorum_would_be_lost: {
    status: 400,
    grpc: PRECONDITION,
    text: "can't remove member from the raft: this would result in a loss of quorum",
    hint: "bring managers that do not answer back first, or demote those",
  },
  session_replaced: {
    status: 409,
    grpc: ABORTED,
    text: "node {id} has opened a newer session",
    hint: "two machines may run with the same data directory",
  },
  heartbeat_failure: {
    status: 503,
    grpc: UNAVAILABLE,
    text: "node {id} was not heard of in time",
  },
  listen_failed: {
    status: 500,
    grpc: UNAVAILABLE,
    text: "cannot listen on {addr}: {message}",
    hint: "another process may hold that port, or the address is not of this machine",
  },
  protocol_mismatch: {
    status: 400,
    grpc: PRECONDITION,
    text: "the other side speaks version {found} of the protocol; this one speaks {known}",
    hint: "bring both to the same release",
  },
  peer_outdated: {
    status: 501,
    grpc: UNIMPLEMENTED,
    text: "{addr} is of an older version and does not know this call: {message}",
    hint: "bring both to the same release; creel-engine may be restarted at any time, containers go on",
  },
  no_such_service: { status: 404, grpc: NOT_FOUND, text: "service {id} not found" },
  no_such_task: { status: 404, grpc: NOT_FOUND, text: "task {id} not found" },
  no_such_node: { status: 404, grpc: NOT_FOUND, text: "node {id} not found" },
  service_name_taken: {
    status: 409,
    grpc: EXISTS,
    text: "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service {name} already exists",
  },
  network_name_taken: { status: 409, grpc: EXISTS, text: "network with name {name} already exists" },
  secret_name_taken: {
    status: 409,
    grpc: EXISTS,
    text: "rpc error: code = AlreadyExists desc = secret {name} already exists",
  },
  config_name_taken: {
    status: 409,
    grpc: EXISTS,
    text: "rpc error: code = AlreadyExists desc = config {name} already exists",
  },
  secret_in_use: {
    status: 400,
    grpc: INVALID,
    text: "rpc error: code = InvalidArgument desc = secret '{name}' is in use by the following {services}",
  },
  config_in_use: {
    status: 400,
    grpc: INVALID,
    text: "rpc error: code = InvalidArgument desc = config '{name}' is in use by the following {services}",
  },
  secret_not_found: {
    status: 400,
    grpc: INVALID,
    text: "rpc error: code = InvalidArgument desc = secret not found: {name}",
  },
  config_not_found: {
    status: 400,
    grpc: INVALID,
    text: "rpc error: code = InvalidArgument desc = config not found: {name}",
  },
  rebalance_under_way: {
    status: 409,
    grpc: PRECONDITION,
    text: "the cluster is being rebalanced already: {moves} tasks are still to move",
    hint: "wait until they have moved, and ask again",
  },
  rotation_under_way: {
    status: 409,
    grpc: PRECONDITION,
    text: "{kind} {name} is being rotated already",
    hint: "wait until its services are updated, or end their updates",
  },
  published_port_taken: {
    status: 400,
    grpc: INVALID,
    text: "port '{port}' is already in use by service '{service}' as an ingress port",
  },
  out_of_sequence: {
    status: 500,
    grpc: INVALID,
    text: "rpc error: code = Unknown desc = update out of sequence",
  },
  node_not_down: {
    status: 400,
    grpc: PRECONDITION,
    text: "rpc error: code = FailedPrecondition desc = node {id} is not down and can't be removed",
  },
  node_is_manager: {
    status: 400,
    grpc: PRECONDITION,
    text: "rpc error: code = FailedPrecondition desc = node {id} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal",
  },
  swarm_network_in_use: {
    status: 403,
    grpc: PRECONDITION,
    text: "rpc error: code = FailedPrecondition desc = network {id} is in use by {user}",
  },
  network_attached: {
    status: 403,
    grpc: PRECONDITION,
    text: "rpc error: code = FailedPrecondition desc = network {id} is in use by container {container} on node {node}",
    hint: "remove that container, or disconnect it: docker network disconnect",
  },
  network_not_attachable: {
    status: 403,
    grpc: DENIED,
    text: "Could not attach to network {name}: rpc error: code = PermissionDenied desc = network {name} not manually attachable",
    hint: "services can be put on it; a network for single containers too is made with docker network create --driver overlay --attachable",
  },
  too_many_attachments: {
    status: 429,
    grpc: EXHAUSTED,
    text: "this node's containers have {max} places on the cluster's networks, and no more are given",
  },

  internal: { status: 500, grpc: INTERNAL, text: "{message}" },
} as const satisfies Record<string, ErrorEntry>;

/** A code of the registry. */
export type ErrorCode = keyof typeof registry;
