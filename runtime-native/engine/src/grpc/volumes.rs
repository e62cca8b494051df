//! Volumes.

use std::collections::BTreeMap;

use tonic::{Request, Response};

use super::{Door, Reply, empty};
use crate::error::{EngineError, ErrorCode};
use crate::ids;
use crate::network::blocking;
use crate::proto::{self, volumes_server};
use crate::volume::{ANONYMOUS, describe};

#[tonic::async_trait]
impl volumes_server::Volumes for Door {
    async fn create(&self, request: Request<proto::Volume>) -> Reply<proto::Volume> {
        let wanted = request.into_inner();
        if !matches!(wanted.driver.as_str(), "" | "local") {
            let text = format!(
                "error looking up volume plugin {}: plugin \"{0}\" not found",
                wanted.driver
            );
            return Err(EngineError::new(ErrorCode::NoSuchVolume, text).into());
        }
        let engine = self.0.clone();
        let volume = blocking(move || {
            let mut labels: BTreeMap<_, _> = wanted.labels.into_iter().collect();
            let name = if wanted.name.is_empty() {
                labels.insert(ANONYMOUS.into(), String::new());
                ids::new_id()
            } else {
                wanted.name
            };
            let known = engine.volumes.exists(&name);
            let options = wanted.options.into_iter().collect();
            let volume = engine.volumes.create(&name, labels, options)?;
            if !known {
                engine.events.emit(
                    "volume",
                    "create",
                    &name,
                    [("driver".to_owned(), "local".to_owned())],
                );
            }
            Ok(volume)
        })
        .await?;
        Ok(Response::new(describe(volume)))
    }

    async fn remove(&self, request: Request<proto::RemoveVolumeRequest>) -> Reply<proto::Empty> {
        let request = request.into_inner();
        let engine = self.0.clone();
        blocking(move || {
            let used = |m: &proto::Mount| m.r#type == "volume" && m.source == request.name;
            let users = || {
                let all = engine.containers.all().into_iter();
                all.filter(|c| c.definition().mounts.iter().any(used))
                    .map(|c| c.id.clone())
                    .collect()
            };
            match engine.volumes.remove_unused(&request.name, users) {
                Err(error) if error.code == ErrorCode::NoSuchVolume && request.force => return Ok(()),
                other => other?,
            }
            engine.events.emit(
                "volume",
                "destroy",
                &request.name,
                [("driver".to_owned(), "local".to_owned())],
            );
            Ok(())
        })
        .await?;
        empty()
    }

    async fn list(&self, request: Request<proto::ListVolumesRequest>) -> Reply<proto::ListVolumesReply> {
        let (engine, sizes) = (self.0.clone(), request.into_inner().sizes);
        let volumes = blocking(move || {
            let mut volumes: Vec<_> = engine.volumes.list()?.into_iter().map(describe).collect();
            for volume in volumes.iter_mut().filter(|_| sizes) {
                volume.size = engine.volumes.size(&volume.name);
            }
            Ok(volumes)
        })
        .await?;
        Ok(Response::new(proto::ListVolumesReply { volumes }))
    }

    async fn inspect(&self, request: Request<proto::VolumeRef>) -> Reply<proto::Volume> {
        Ok(Response::new(describe(
            self.0.volumes.inspect(&request.into_inner().name)?,
        )))
    }
}
