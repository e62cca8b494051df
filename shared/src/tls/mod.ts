export { keyOf, subjectOf, tlsOf } from "./certificates.ts";
export { type ClientConstructor, connect, LEADER_KEY, leaderOf, openClient } from "./client.ts";
export { blindCredentials, type Expectation, strangerCredentials } from "./credentials.ts";
export {
  type Identity,
  type IdentitySource,
  LiveIdentity,
  type PeerIdentity,
  roleName,
  roleUnit,
} from "./identity.ts";
export { type Peer, type Peers, tlsPeers } from "./peers.ts";
export { isReachable } from "./reach.ts";
export {
  type AuthenticatedCall,
  type Caller,
  ClusterServer,
  type ClusterServerOptions,
  type NodeServer,
  type RoleOf,
  type Rule,
  type Rules,
} from "./server.ts";
