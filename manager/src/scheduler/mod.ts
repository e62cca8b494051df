export { type Constraint, type ConstraintError, parseConstraint } from "./constraints.ts";
export { explain, type Filter, filters, fitsSpec } from "./filters.ts";
export { type Placement, placeTasks, planPlacement } from "./place.ts";
export { scheduler } from "./scheduler.ts";
