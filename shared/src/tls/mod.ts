export { keyOf, subjectOf, tlsOf } from "./certificates.ts";
export { type ClientConstructor, connect, LEADER_KEY, leaderOf, openClient } from "./client.ts";
export {
  blindCredentials,
  type Expectation,
  memberCredentials,
  serverCredentials,
  strangerCredentials,
} from "./credentials.ts";
export {
  type Identity,
  type IdentitySource,
  identityOfCertificate,
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
  CHANNEL_OPTIONS,
  ClusterServer,
  type ClusterServerOptions,
  type NodeServer,
  type RoleOf,
  type Rule,
  type Rules,
} from "./server.ts";
