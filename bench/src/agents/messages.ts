/** What the bench asks of a manager's process. */
export type ManagerRequest =
  | { do: "create" }
  | { do: "join"; token: string; addr: string }
  | { do: "run"; tasks: number; services: number };

/** What a manager's process tells. */
export type ManagerAnswer =
  | { ready: string; workerToken: string; managerToken: string }
  | { nodes: number }
  | { seconds: number; createdToAssigned: number[] }
  | { failed: string };

/** What a process of agents tells. */
export type AgentsAnswer = { connected: number } | { failed: string };
