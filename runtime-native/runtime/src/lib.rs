//! Turns what a container should look like into a running one: the OCI spec with Docker's defaults, the seccomp
//! policy as a BPF program, the cgroup of the container, and the container formats that create and run it.

mod block_io;
pub mod cgroup;
mod cgroup_mounts;
pub mod clock;
mod device_filter;
mod error;
mod executor;
mod external;
mod format;
#[cfg(test)]
mod fuzz;
mod hooks;
mod libcontainer_format;
mod native;
mod privileges;
mod proc_mounts;
pub mod rootfs;
pub mod seccomp;
mod short_path;
pub mod spec;
pub mod stats;
pub mod support;
mod trace;
pub mod user_namespace;

pub use error::{RuntimeError, in_plain_words};
pub use executor::HOLDS_SIGNALS;
pub use external::ExternalFormat;
pub use format::{Bundle, ContainerFormat, ContainerState, Stdio, format_of};
pub use hooks::{HookPoint, OciState, check_hooks, run_hooks};
pub use libcontainer_format::LibcontainerFormat;
pub use native::{FORMAT_FILES, NativeFormat};
pub use oci_spec::runtime as oci;
pub use privileges::NAMES as CAPABILITIES;
