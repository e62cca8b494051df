/** The cluster's objects as generated from proto/, under the one name the API's files use. */
export * from "@creel/shared/gen/cluster/v1/control.ts";
export * from "@creel/shared/gen/cluster/v1/objects.ts";
