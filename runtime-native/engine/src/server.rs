//! The program's frame: log, socket, signals, end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;

use crate::config::Config;
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::grpc;

/// How long calls under way may take once the engine is asked to end.
const GRACE: Duration = Duration::from_secs(2);

/// Opens the engine and serves until it is asked to end. Containers go on.
pub async fn run(config: Config) -> Result<()> {
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|e| EngineError::io("watch for signals", e))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(|e| EngineError::io("watch for signals", e))?;
    let engine = Engine::open(config.clone()).await?;
    let listener = listen(&config.socket)?;
    if let Some(pidfile) = &config.pidfile {
        fs::write(pidfile, format!("{}\n", std::process::id()))
            .map_err(|e| EngineError::io(format_args!("write {}", pidfile.display()), e))?;
    }
    tracing::info!(
        socket = %config.socket.display(),
        storage = engine.storage.name(),
        instance = engine.instance_id,
        "creel-engine is ready"
    );
    let (quit, asked) = tokio::sync::oneshot::channel::<()>();
    let serve = Server::builder()
        .add_routes(grpc::routes(engine.clone()))
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), async {
            let _ = asked.await;
        });
    let serve = tokio::spawn(serve);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = engine.stopped() => {}
    }
    engine.request_stop();
    // The answer to the call that asked for it goes out first.
    let _ = quit.send(());
    // Whatever still goes on then is cut.
    let _ = tokio::time::timeout(GRACE, serve).await;
    let _ = fs::remove_file(&config.socket);
    if let Some(pidfile) = &config.pidfile {
        let _ = fs::remove_file(pidfile);
    }
    tracing::info!("creel-engine has ended; containers go on");
    Ok(())
}

fn listen(path: &Path) -> Result<UnixListener> {
    let failed = |e| EngineError::io(format_args!("listen on {}", path.display()), e);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    // The lock on the data root says that no other engine is behind it; another's socket is not ours to take.
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(EngineError::conflict(format!(
            "another program listens on {}",
            path.display()
        )));
    }
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}
