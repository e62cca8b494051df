export { type Constraint, type ConstraintError, parseConstraint } from "./constraints.ts";
export {
  amountText,
  type Explanation,
  type NodeName,
  type Refused,
  type Shortage,
} from "./explanation.ts";
export { fitsSpec } from "./filters.ts";
export { planMoves } from "./moves.ts";
export { explainTask } from "./place.ts";
export { scheduler } from "./scheduler.ts";
