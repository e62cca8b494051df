export { type DaemonConfig, readConfig } from "./config.ts";
export { type Daemon, startDaemon } from "./daemon.ts";
