export { type CallLimits, type Calls, callsOf } from "./calls.ts";
export { type Clock, type Millis, sleep, systemClock, type Timer } from "./clock.ts";
export * from "./errors/mod.ts";
export { newId } from "./ids.ts";
export { createLogger, LOG_LEVELS, type Logger, setLogLevel, withoutSecrets } from "./log.ts";
export type { Plan, PlannedAction, PlannedService, PlannedTask, Unplaced } from "./plan.ts";
export { type Random, seededRandom, systemRandom } from "./random.ts";
export type { Why, WhyCause, WhyCode } from "./why.ts";
