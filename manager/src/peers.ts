/** The IP out of what gRPC calls a peer: 10.0.0.1:4711, [::1]:4711. */
export function hostOf(peer: string): string {
  const host = peer
    .replace(/^(dns|ipv4|ipv6):/, "")
    .replace(/:\d+$/, "")
    .replace(/^\[|\]$/g, "");
  return host.replace(/^::ffff:/, "");
}
