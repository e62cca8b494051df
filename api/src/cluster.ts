/** The cluster's objects as generated from proto/, under the one name the API's files use. */
export { ControlReply, ControlRequest, TaskLogsRequest } from "@creel/shared/gen/cluster/v1/control.ts";
export * from "@creel/shared/gen/cluster/v1/objects.ts";
