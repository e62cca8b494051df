//! A container as the contract shows it.

use std::collections::HashMap;

use creel_runtime::spec::{masked_paths, readonly_paths};

use super::Container;
use super::record::Status;
use crate::engine::Engine;
use crate::proto;

/// The spec with the paths that it leaves to the engine.
fn with_paths(mut spec: proto::ContainerSpec) -> proto::ContainerSpec {
    let security = spec.security.get_or_insert_default();
    let fill = |paths: &mut Vec<String>, none: bool, usual: fn() -> Vec<String>| {
        if paths.is_empty() && !none {
            *paths = usual();
        }
    };
    if !security.privileged {
        fill(&mut security.masked_paths, security.no_masked_paths, masked_paths);
        fill(
            &mut security.readonly_paths,
            security.no_readonly_paths,
            readonly_paths,
        );
    }
    spec
}

impl Engine {
    /// Everything about a container, with where its parts are.
    pub fn inspect(&self, container: &Container) -> proto::Container {
        let sandbox = container.state().sandbox;
        let path = Some(self.networks.host.sandbox_path(&sandbox)).filter(|_| !sandbox.is_empty());
        proto::Container {
            places: self.storage.places(&container.id).into_iter().collect(),
            sandbox_path: path.unwrap_or_default().to_string_lossy().into_owned(),
            ..self.describe(container)
        }
    }

    /// What is told of a container also among others.
    pub fn describe(&self, container: &Container) -> proto::Container {
        let definition = container.definition();
        let state = container.state();
        let merged = &definition.merged;
        let argv = merged.argv();
        let health = container.health.lock().expect("no panic while locked").findings();
        let mounts = definition
            .mounts
            .iter()
            .map(|mount| {
                let mut mount = mount.clone();
                if mount.r#type == "volume"
                    && let Ok(path) = super::mounts::source_path(&mount, &self.volumes)
                {
                    // The volume's name is a part of it: volumes/NAME/_data.
                    mount.source = path.to_string_lossy().into_owned();
                }
                mount
            })
            .collect();
        let named = self.images.find(&definition.spec.image);
        let own_name = named.is_ok_and(|image| image.id.to_string() == definition.image_id);
        let file = |name: &str| container.dir.file(name).to_string_lossy().into_owned();
        proto::Container {
            id: definition.id.clone(),
            name: definition.name.clone(),
            created_nanos: definition.created_nanos,
            spec: Some(with_paths(definition.spec.clone())),
            image_id: definition.image_id.clone(),
            path: argv.first().cloned().unwrap_or_default(),
            args: argv.into_iter().skip(1).collect(),
            state: Some(proto::ContainerState {
                status: state.status.name().into(),
                pid: state.pid,
                exit_code: state.exit_code,
                error: state.error.clone(),
                oom_killed: state.oom_killed,
                started_nanos: state.started_nanos,
                finished_nanos: state.finished_nanos,
                // Docker's word for what is not looked after any more.
                health: match state.status {
                    Status::Running => health.status,
                    _ if health.status.is_empty() => String::new(),
                    _ => "unhealthy".into(),
                },
                health_failing_streak: health.failing_streak,
                health_log: health.log.into(),
            }),
            endpoints: state.endpoints.clone(),
            ports: state.ports.clone(),
            log_path: definition.shown_log_path(),
            restart_count: state.restart_count,
            storage_driver: definition.storage_driver.clone(),
            hostname_path: file("hostname"),
            hosts_path: file("hosts"),
            resolv_conf_path: file("resolv.conf"),
            mounts,
            merged_env: merged.env.clone(),
            merged_working_dir: merged.working_dir.clone(),
            merged_user: merged.user.clone(),
            merged_labels: merged.labels.clone().into_iter().collect::<HashMap<_, _>>(),
            hostname: merged.hostname.clone(),
            merged_entrypoint: merged.entrypoint.clone(),
            merged_cmd: merged.cmd.clone(),
            networks: state.networks.clone(),
            exec_ids: self.execs.of_container(&definition.id),
            image: match own_name {
                true => definition.spec.image.clone(),
                false => definition.image_id.clone(),
            },
            ..proto::Container::default()
        }
    }

    /// The containers that are asked for, newest first.
    pub fn list(&self, request: &proto::ListContainersRequest) -> Vec<proto::Container> {
        let wanted = |container: &Container| {
            let status = container.status();
            if !request.all && !status.has_process() && status != Status::Restarting {
                return false;
            }
            let definition = container.definition();
            request.labels.iter().all(|(key, value)| {
                definition
                    .merged
                    .labels
                    .get(key)
                    .is_some_and(|own| value.is_empty() || own == value)
            })
        };
        let mut containers: Vec<_> = self
            .containers
            .all()
            .iter()
            .filter(|c| wanted(c))
            .map(|c| self.describe(c))
            .collect();
        containers.sort_by_key(|c| std::cmp::Reverse(c.created_nanos));
        containers
    }

    /// Tells the readers of events of something that happened to a container.
    pub fn emit_container(
        &self,
        container: &Container,
        action: &str,
        more: impl IntoIterator<Item = (String, String)>,
    ) {
        let definition = container.definition();
        let mut attributes: HashMap<String, String> = definition.merged.labels.clone().into_iter().collect();
        attributes.insert("name".into(), definition.name.clone());
        attributes.insert("image".into(), definition.spec.image.clone());
        attributes.extend(more);
        self.events.emit("container", action, &container.id, attributes);
    }
}
