//! The contract's services: each method calls one of the engine's.

mod containers;
mod engine;
mod images;
mod networks;
mod volumes;

use std::sync::Arc;

use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Response, Status};

use crate::engine::Engine;
use crate::proto;

/// A stream of answers.
type Answers<T> = ReceiverStream<Result<T, Status>>;
type Reply<T> = Result<Response<T>, Status>;

/// One of the services, with the engine behind it.
#[derive(Clone)]
struct Door(Arc<Engine>);

/// All services of the contract.
pub fn routes(engine: Arc<Engine>) -> Routes {
    const LARGEST: usize = 64 << 20;
    let door = Door(engine);
    Routes::default()
        .add_service(proto::engine_server::EngineServer::new(door.clone()))
        .add_service(proto::images_server::ImagesServer::new(door.clone()))
        .add_service(
            proto::containers_server::ContainersServer::new(door.clone())
                .max_decoding_message_size(LARGEST)
                .max_encoding_message_size(LARGEST),
        )
        .add_service(
            proto::networks_server::NetworksServer::new(door.clone()).max_decoding_message_size(LARGEST),
        )
        .add_service(proto::volumes_server::VolumesServer::new(door))
}

fn empty() -> Reply<proto::Empty> {
    Ok(Response::new(proto::Empty {}))
}

/// Does it on a task of its own: a caller that goes away leaves nothing half done.
async fn run<T: Send + 'static>(
    work: impl Future<Output = crate::error::Result<T>> + Send + 'static,
) -> Result<T, Status> {
    match tokio::spawn(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(crate::error::EngineError::internal(format!(
            "an operation ended unexpectedly: {error}"
        ))
        .into()),
    }
}
