/** `GraphDriver` of inspect: a storage driver, and where it keeps what is asked about, if that is to be seen on the host. */
export function toGraphDriver(Name: string, places: Record<string, string>): Record<string, unknown> {
  return { Data: Object.keys(places).length > 0 ? places : null, Name };
}
