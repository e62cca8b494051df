//! Containers.

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response};

use super::{Answers, Door, Reply, empty, run};
use crate::container::log_options;
use crate::container::wait::{Condition, wait};
use crate::logs::{Ending, Selection, copy_log};
use crate::proto::{self, containers_server};

#[tonic::async_trait]
impl containers_server::Containers for Door {
    async fn create(
        &self,
        request: Request<proto::CreateContainerRequest>,
    ) -> Reply<proto::CreateContainerReply> {
        let engine = self.0.clone();
        let (id, warnings) = run(async move { engine.create(request.into_inner()).await }).await?;
        Ok(Response::new(proto::CreateContainerReply { id, warnings }))
    }

    async fn start(&self, request: Request<proto::ContainerRef>) -> Reply<proto::Empty> {
        let (engine, id) = (self.0.clone(), request.into_inner().id);
        run(async move { engine.start(&id).await }).await?;
        empty()
    }

    async fn stop(&self, request: Request<proto::StopRequest>) -> Reply<proto::Empty> {
        let engine = self.0.clone();
        run(async move { engine.stop(&request.into_inner()).await }).await?;
        empty()
    }

    async fn kill(&self, request: Request<proto::KillRequest>) -> Reply<proto::Empty> {
        let (engine, request) = (self.0.clone(), request.into_inner());
        run(async move { engine.kill(&request.id, &request.signal).await }).await?;
        empty()
    }

    async fn pause(&self, request: Request<proto::ContainerRef>) -> Reply<proto::Empty> {
        let (engine, id) = (self.0.clone(), request.into_inner().id);
        run(async move { engine.pause(&id).await }).await?;
        empty()
    }

    async fn unpause(&self, request: Request<proto::ContainerRef>) -> Reply<proto::Empty> {
        let (engine, id) = (self.0.clone(), request.into_inner().id);
        run(async move { engine.unpause(&id).await }).await?;
        empty()
    }

    async fn remove(&self, request: Request<proto::RemoveContainerRequest>) -> Reply<proto::Empty> {
        let (engine, request) = (self.0.clone(), request.into_inner());
        run(async move { engine.remove(&request.id, request.force, request.volumes).await }).await?;
        empty()
    }

    async fn rename(&self, request: Request<proto::RenameRequest>) -> Reply<proto::Empty> {
        let (engine, request) = (self.0.clone(), request.into_inner());
        run(async move { engine.rename(&request.id, &request.name).await }).await?;
        empty()
    }

    async fn inspect(&self, request: Request<proto::ContainerRef>) -> Reply<proto::Container> {
        let container = self.0.containers.find(&request.into_inner().id)?;
        Ok(Response::new(self.0.inspect(&container)))
    }

    async fn list(
        &self,
        request: Request<proto::ListContainersRequest>,
    ) -> Reply<proto::ListContainersReply> {
        let containers = self.0.list(&request.into_inner());
        Ok(Response::new(proto::ListContainersReply { containers }))
    }

    type WaitStream = Answers<proto::WaitReply>;

    async fn wait(&self, request: Request<proto::WaitRequest>) -> Reply<Self::WaitStream> {
        let request = request.into_inner();
        let condition = Condition::parse(&request.condition)?;
        let container = self.0.containers.find(&request.id)?;
        Ok(Response::new(ReceiverStream::new(wait(
            self.0.clone(),
            &container,
            condition,
        ))))
    }

    async fn attach(&self, request: Request<proto::AttachRequest>) -> Reply<proto::StreamReply> {
        Ok(Response::new(self.0.attach(request.into_inner()).await?))
    }

    async fn resize(&self, request: Request<proto::ResizeRequest>) -> Reply<proto::Empty> {
        let request = request.into_inner();
        self.0.resize(&request.id, request.width, request.height).await?;
        empty()
    }

    async fn logs(&self, request: Request<proto::LogsRequest>) -> Reply<proto::StreamReply> {
        let request = request.into_inner();
        let container = self.0.containers.find(&request.id)?;
        let definition = container.definition();
        let source = log_options::source(&definition)?;
        if !request.stdout && !request.stderr {
            let text = "Bad parameters: you must choose at least one stream";
            return Err(crate::error::EngineError::invalid(text).into());
        }
        let raw = definition.spec.tty;
        let selection = Selection::new(&request, raw);
        let socket = self.0.bulk.create()?;
        let reply = proto::StreamReply {
            socket: socket.path(),
            raw,
        };
        let life = container.watch();
        let ended = !life.borrow().has_process && !life.borrow().restarting;
        let ending = if request.follow && !ended {
            Ending::WithContainer(life)
        } else {
            Ending::Now
        };
        drop(container);
        tokio::spawn(async move {
            let Some(mut stream) = socket.accept().await else {
                return;
            };
            if let Err(error) = copy_log(&mut stream, &source, request.tail, &selection, ending).await
                && error.kind() != std::io::ErrorKind::BrokenPipe
            {
                tracing::warn!(container = definition.id, %error, "its log could not be read");
            }
        });
        Ok(Response::new(reply))
    }

    async fn listening(&self, request: Request<proto::ContainerRef>) -> Reply<proto::ListeningReply> {
        Ok(Response::new(self.0.listening(&request.into_inner().id).await?))
    }

    async fn top(&self, request: Request<proto::TopRequest>) -> Reply<proto::TopReply> {
        let request = request.into_inner();
        Ok(Response::new(self.0.top(&request.id, &request.ps_args).await?))
    }

    async fn changes(&self, request: Request<proto::ContainerRef>) -> Reply<proto::ChangesReply> {
        let changes = self.0.changes(&request.into_inner().id).await?;
        Ok(Response::new(proto::ChangesReply { changes }))
    }

    async fn size(&self, request: Request<proto::ContainerRef>) -> Reply<proto::ContainerSize> {
        Ok(Response::new(self.0.size(&request.into_inner().id).await?))
    }

    async fn stat_path(&self, request: Request<proto::PathRef>) -> Reply<proto::PathStat> {
        Ok(Response::new(self.0.stat_path(request.into_inner()).await?))
    }

    type ReadArchiveStream = Answers<proto::Progress>;

    async fn read_archive(&self, request: Request<proto::PathRef>) -> Reply<Self::ReadArchiveStream> {
        let progress = self.0.read_archive(request.into_inner())?;
        Ok(Response::new(ReceiverStream::new(progress)))
    }

    type WriteArchiveStream = Answers<proto::Progress>;

    async fn write_archive(
        &self,
        request: Request<proto::WriteArchiveRequest>,
    ) -> Reply<Self::WriteArchiveStream> {
        let progress = self.0.write_archive(request.into_inner())?;
        Ok(Response::new(ReceiverStream::new(progress)))
    }

    type ExportStream = Answers<proto::Progress>;

    async fn export(&self, request: Request<proto::ContainerRef>) -> Reply<Self::ExportStream> {
        let progress = self.0.export(&request.into_inner().id)?;
        Ok(Response::new(ReceiverStream::new(progress)))
    }

    async fn commit(&self, request: Request<proto::CommitRequest>) -> Reply<proto::ImageRef> {
        let (engine, request) = (self.0.clone(), request.into_inner());
        let id = run(async move { engine.commit(request).await }).await?;
        Ok(Response::new(proto::ImageRef { r#ref: id }))
    }

    async fn stats(&self, request: Request<proto::ContainerRef>) -> Reply<proto::ContainerStats> {
        Ok(Response::new(self.0.stats(&request.into_inner().id).await?))
    }

    async fn update(&self, request: Request<proto::UpdateRequest>) -> Reply<proto::UpdateReply> {
        let (engine, request) = (self.0.clone(), request.into_inner());
        let warnings = run(async move { engine.update(request).await }).await?;
        Ok(Response::new(proto::UpdateReply { warnings }))
    }

    async fn exec_create(&self, request: Request<proto::ExecCreateRequest>) -> Reply<proto::ExecRef> {
        let id = self.0.exec_create(request.into_inner())?;
        Ok(Response::new(proto::ExecRef { id }))
    }

    async fn exec_start(&self, request: Request<proto::ExecStartRequest>) -> Reply<proto::StreamReply> {
        Ok(Response::new(self.0.exec_start(request.into_inner()).await?))
    }

    async fn exec_resize(&self, request: Request<proto::ResizeRequest>) -> Reply<proto::Empty> {
        let request = request.into_inner();
        self.0
            .exec_resize(&request.id, request.width, request.height)
            .await?;
        empty()
    }

    async fn exec_inspect(&self, request: Request<proto::ExecRef>) -> Reply<proto::Exec> {
        Ok(Response::new(self.0.exec_inspect(&request.into_inner().id)?))
    }
}
