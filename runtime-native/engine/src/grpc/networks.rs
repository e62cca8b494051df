//! Networks.

use tonic::{Request, Response};

use super::{Door, Reply, empty, run};
use crate::proto::{self, networks_server};

#[tonic::async_trait]
impl networks_server::Networks for Door {
    async fn create(&self, request: Request<proto::Network>) -> Reply<proto::Network> {
        let engine = self.0.clone();
        let made = run(async move { engine.network_create(request.into_inner()).await }).await?;
        Ok(Response::new(made))
    }

    async fn remove(&self, request: Request<proto::NetworkRef>) -> Reply<proto::Empty> {
        let (engine, id) = (self.0.clone(), request.into_inner().id);
        run(async move { engine.network_remove(&id).await }).await?;
        empty()
    }

    async fn list(&self, _: Request<proto::ListNetworksRequest>) -> Reply<proto::ListNetworksReply> {
        let networks = self
            .0
            .networks
            .all()
            .iter()
            .map(|e| self.0.describe_network(&e.record))
            .collect();
        Ok(Response::new(proto::ListNetworksReply { networks }))
    }

    async fn inspect(&self, request: Request<proto::NetworkRef>) -> Reply<proto::Network> {
        let entry = self.0.networks.find(&request.into_inner().id)?;
        Ok(Response::new(self.0.describe_network(&entry.record)))
    }

    async fn connect(&self, request: Request<proto::ConnectRequest>) -> Reply<proto::Endpoint> {
        let engine = self.0.clone();
        let endpoint = run(async move { engine.network_connect(request.into_inner()).await }).await?;
        Ok(Response::new(endpoint))
    }

    async fn disconnect(&self, request: Request<proto::DisconnectRequest>) -> Reply<proto::Empty> {
        let engine = self.0.clone();
        run(async move { engine.network_disconnect(request.into_inner()).await }).await?;
        empty()
    }

    async fn apply(&self, request: Request<proto::ApplyRequest>) -> Reply<proto::Empty> {
        self.0.networks.apply(request.into_inner()).await?;
        empty()
    }

    async fn set_data_path(&self, request: Request<proto::DataPath>) -> Reply<proto::Empty> {
        let engine = &self.0;
        let data_root = &engine.config.data_root;
        engine
            .networks
            .set_data_path(data_root, &request.into_inner())
            .await?;
        empty()
    }
}
