//! Images.

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response};

use super::{Answers, Door, Reply};
use crate::network::blocking;
use crate::proto::{self, images_server};

#[tonic::async_trait]
impl images_server::Images for Door {
    type LoadStream = Answers<proto::Progress>;

    async fn load(&self, request: Request<proto::LoadRequest>) -> Reply<Self::LoadStream> {
        Ok(Response::new(ReceiverStream::new(
            self.0.load(request.into_inner().quiet)?,
        )))
    }

    type ImportStream = Answers<proto::Progress>;

    async fn import(&self, request: Request<proto::ImportRequest>) -> Reply<Self::ImportStream> {
        Ok(Response::new(ReceiverStream::new(
            self.0.import(request.into_inner())?,
        )))
    }

    type SaveStream = Answers<proto::Progress>;

    async fn save(&self, request: Request<proto::SaveRequest>) -> Reply<Self::SaveStream> {
        Ok(Response::new(ReceiverStream::new(
            self.0.save(request.into_inner().refs)?,
        )))
    }

    async fn list(&self, request: Request<proto::ListImagesRequest>) -> Reply<proto::ListImagesReply> {
        let (engine, request) = (self.0.clone(), request.into_inner());
        let images = blocking(move || engine.image_list(&request.filters, request.all)).await?;
        Ok(Response::new(proto::ListImagesReply { images }))
    }

    async fn inspect(&self, request: Request<proto::ImageRef>) -> Reply<proto::Image> {
        let engine = self.0.clone();
        let image = blocking(move || engine.image_inspect(&request.into_inner().r#ref)).await?;
        Ok(Response::new(image))
    }

    async fn tag(&self, request: Request<proto::TagRequest>) -> Reply<proto::TagReply> {
        let (engine, request) = (self.0.clone(), request.into_inner());
        let id = blocking(move || engine.image_tag(&request.source, &request.target)).await?;
        Ok(Response::new(proto::TagReply { id }))
    }

    async fn remove(&self, request: Request<proto::RemoveImageRequest>) -> Reply<proto::RemoveImageReply> {
        let engine = self.0.clone();
        let removed = blocking(move || engine.image_remove(&request.into_inner())).await?;
        Ok(Response::new(removed))
    }

    async fn prune(&self, request: Request<proto::PruneImagesRequest>) -> Reply<proto::RemoveImageReply> {
        let engine = self.0.clone();
        let removed = blocking(move || engine.image_prune(&request.into_inner())).await?;
        Ok(Response::new(removed))
    }
}
