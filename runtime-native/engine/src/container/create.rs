//! Creating a container: nothing of it runs yet, and nothing is left of one that cannot be made.

use std::fs;
use std::sync::Arc;

use creel_runtime::support::Support;

use super::record::{ContainerDir, Definition, State};
use super::{Container, checks, files, kernel_limits, log_options, merge, mounts};
use crate::clock::now_nanos;
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::ids;
use crate::images::ResolvedImage;
use crate::logs::driver;
use crate::network::{DEFAULT_BRIDGE, blocking};
use crate::proto::{ContainerSpec, CreateContainerRequest, NetworkAttachment};

impl Engine {
    /// Creates a container and gives its id.
    pub async fn create(self: &Arc<Self>, request: CreateContainerRequest) -> Result<(String, Vec<String>)> {
        let mut spec = request
            .spec
            .ok_or_else(|| EngineError::invalid("a container needs a spec"))?;
        spec.log = Some(self.config.log.fill(spec.log));
        checks::check(&spec)?;
        let mut warnings = kernel_limits::settle(&mut spec, &Support::of_this_machine())?;
        if spec.network_mode == "host" && !spec.ports.is_empty() {
            warnings.push("Published ports are discarded when using host network mode".into());
        }
        self.settle_namespaces(&mut spec)?;
        self.settle_hostname(&mut spec)?;
        self.config.runtimes.program(&spec.runtime)?;
        let networks = self.attachments(&spec)?;
        let id = ids::new_id();
        let name = self
            .containers
            .reserve(request.name.trim_start_matches('/'), &id)?;
        let created = self.create_named(id.clone(), name.clone(), spec, networks).await;
        match created {
            Ok(container) => {
                self.emit_container(&container, "create", []);
                Ok((id, warnings))
            }
            Err(error) => {
                self.containers.release(&name, &id);
                Err(error)
            }
        }
    }

    /// Makes a container and lists it.
    async fn create_named(
        self: &Arc<Self>,
        id: String,
        name: String,
        mut spec: ContainerSpec,
        networks: Vec<NetworkAttachment>,
    ) -> Result<Arc<Container>> {
        let engine = self.clone();
        blocking(move || {
            let image = engine.images.resolve(&spec.image)?;
            let merged = merge::merge(&id, &spec, &image.config)?;
            let resolved = mounts::resolve(&spec, &image.config)?;
            let dir = ContainerDir::new(&engine.config.data_root, &id);
            // Nothing that is kept or told of the container holds what its files say.
            let contents: Vec<_> = spec
                .files
                .iter_mut()
                .map(|f| std::mem::take(&mut f.data))
                .collect();
            let definition = Definition {
                format: Definition::FORMAT,
                log_path: dir
                    .file(&driver::file_name(driver::of(spec.log.as_ref()), &id))
                    .to_string_lossy()
                    .into_owned(),
                storage_driver: engine.storage.name().to_owned(),
                image_id: image.id.clone(),
                created_nanos: now_nanos(),
                mounts: resolved.mounts,
                anonymous_volumes: resolved.anonymous,
                merged,
                spec,
                id,
                name,
            };
            let state = State {
                networks,
                ..State::default()
            };
            let container = Arc::new(Container::new(dir, definition, state));
            let _claim = engine.volumes.claim(&container.definition().mounts);
            let mut volumes = Vec::new();
            let made = engine.make_parts(&container, &image, &contents, &mut volumes);
            if let Err(error) = made {
                let places = engine.places(&container);
                files::drop_all(&places.files_dir);
                let _ = places.state_dir.parent().map(fs::remove_dir_all);
                let _ = engine.storage.remove(&container.id);
                let _ = fs::remove_dir_all(container.dir.path());
                for volume in &volumes {
                    let _ = engine.volumes.remove(volume);
                }
                return Err(error);
            }
            engine.containers.insert(container.clone());
            for volume in volumes {
                let attributes = [("driver".to_owned(), "local".to_owned())];
                engine.events.emit("volume", "create", &volume, attributes);
            }
            Ok(container)
        })
        .await
    }

    /// `made`: the volumes that this has made, for the caller to remove when the creation fails.
    fn make_parts(
        &self,
        container: &Container,
        image: &ResolvedImage,
        contents: &[Vec<u8>],
        made: &mut Vec<String>,
    ) -> Result<()> {
        let definition = container.definition();
        log_options::read(&definition)?;
        let places = self.places(container);
        container.dir.begin(&definition.anonymous_volumes)?;
        mounts::make_volumes(&definition.mounts, &self.volumes, made)?;
        self.images.prepare_rootfs(&*self.storage, &container.id, image)?;
        if !definition.spec.files.is_empty() {
            files::put(&places.files_dir, &definition.spec.files, contents)?;
        }
        if definition.mounts.iter().any(mounts::wants_copy) {
            let rootfs = self
                .storage
                .mount(&container.id)
                .map_err(crate::volume::storage_error)?;
            let held = self.volumes.hold(&definition.mounts, &container.id);
            let copied = held.and_then(|()| mounts::copy_up(&definition.mounts, &rootfs, &self.volumes));
            self.volumes.release(&container.id);
            self.storage
                .release(&container.id)
                .map_err(crate::volume::storage_error)?;
            copied?;
        }
        container.dir.save_state(&container.state())?;
        container.dir.create_definition(&definition)
    }

    /// Who shares another's network has its names, too.
    fn settle_hostname(&self, spec: &mut ContainerSpec) -> Result<()> {
        let Some(other) = spec.network_mode.strip_prefix("container:") else {
            return Ok(());
        };
        let other = self.containers.find(other)?.definition();
        if spec.hostname.is_empty() && spec.uts_mode != "host" {
            spec.hostname.clone_from(&other.merged.hostname);
            spec.domainname.clone_from(&other.spec.domainname);
        }
        Ok(())
    }

    /// The networks a container gets, checked.
    fn attachments(&self, spec: &ContainerSpec) -> Result<Vec<NetworkAttachment>> {
        if let Some(other) = spec.network_mode.strip_prefix("container:") {
            self.containers.find(other)?;
            if !spec.networks.is_empty() {
                return Err(EngineError::conflict(
                    "conflicting options: container type network can't be used with other networks",
                ));
            }
            if !spec.ports.is_empty() {
                return Err(EngineError::conflict(
                    "conflicting options: port publishing and the container type network mode",
                ));
            }
        }
        let networks = wanted_networks(spec);
        self.networks.check(&networks)?;
        Ok(networks)
    }
}

/// The networks that a container is made with.
pub(super) fn wanted_networks(spec: &ContainerSpec) -> Vec<NetworkAttachment> {
    let on = |network: &str| NetworkAttachment {
        network: network.into(),
        ..NetworkAttachment::default()
    };
    match spec.network_mode.as_str() {
        mode @ ("host" | "none") => vec![on(mode)],
        mode if mode.starts_with("container:") => Vec::new(),
        "" | "default" | "bridge" if spec.networks.is_empty() => vec![on(DEFAULT_BRIDGE)],
        other if spec.networks.is_empty() => vec![on(other)],
        _ => spec.networks.clone(),
    }
}
