//! A container's life, on a real kernel.

use crate::requests::{assert_code, spec};
use crate::test_engine::TestEngine;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_lives_and_leaves_nothing() {
    let engine = TestEngine::start().await;
    let (code, output) = engine.run(spec(&["echo", "hello", "world"])).await;
    assert_eq!((code, output.as_str()), (0, "hello world\n"));
    let (code, output) = engine.run(spec(&["error", "oops", "3"])).await;
    assert_eq!((code, output.as_str()), (3, "oops\n"));

    let id = engine.create("web", spec(&["sleep", "600"])).await.unwrap();
    assert_eq!(engine.status("web").await, "created");
    engine.start_container("web").await.unwrap();
    assert_code(
        &engine.start_container(&id[..10]).await.unwrap_err(),
        "not_modified",
    );
    let shown = engine.inspect("web").await.unwrap();
    assert!(shown.endpoints[0].address.starts_with("172.17.0."), "{shown:?}");
    let error = engine.create("web", spec(&["sleep", "600"])).await.unwrap_err();
    assert_code(&error, "name_in_use");
    let expected = format!(
        "Conflict. The container name \"/web\" is already in use by container \"{id}\". You have to remove (or \
         rename) that container to be able to reuse that name."
    );
    assert_eq!(error.message(), expected);
    engine.printed("web", "sleeping").await;
    engine.stop("web", 10).await.unwrap();
    let state = engine.inspect("web").await.unwrap().state.unwrap();
    assert_eq!((state.status.as_str(), state.exit_code), ("exited", 7));
    engine.start_container("web").await.unwrap();
    assert_eq!(engine.status("web").await, "running");
    engine.remove("web").await.unwrap();
    assert_code(&engine.inspect("web").await.unwrap_err(), "no_such_container");
    engine.settled().await;
    assert_eq!(engine.leftovers(), Vec::<String>::new());
}
