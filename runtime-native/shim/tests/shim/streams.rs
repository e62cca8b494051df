//! Attached clients, terminals and exec'd processes.

use crate::common::{Fixture, Options, demultiplex};
use creel_runtime::spec::ProcessInput;
use creel_shim::client::{ExecSpec, ShimError};
use creel_shim::protocol::AttachRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn both_ways() -> AttachRequest {
    AttachRequest {
        stdin: true,
        stdout: true,
        stderr: true,
        detach_keys: vec![16, 17],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn input_reaches_the_process_and_ends_with_its_client() {
    let fixture = Fixture::new();
    let container = fixture
        .create_with(
            &["probe", "cat", "echo", "end"],
            Options {
                open_stdin: true,
                ..Options::default()
            },
        )
        .await
        .unwrap();
    let mut attached = container.shim.attach(both_ways()).await.unwrap();
    container.shim.start().await.unwrap();
    let sent: Vec<u8> = (0..400_000u32).map(|number| b'a' + (number % 26) as u8).collect();
    let expected = String::from_utf8(sent.clone()).unwrap() + "end\n";
    let (mut read, mut write) = attached.split();
    let writing = async {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let reading = async {
        let mut bytes = Vec::new();
        read.read_to_end(&mut bytes).await.unwrap();
        let mut text = Vec::new();
        let mut rest = &bytes[..];
        while let Some((header, tail)) = rest.split_first_chunk::<8>() {
            let size = u32::from_be_bytes(header[4..].try_into().unwrap()) as usize;
            assert_eq!(header[0], 1);
            text.extend(&tail[..size]);
            rest = &tail[size..];
        }
        String::from_utf8(text).unwrap()
    };
    let ((), got) = tokio::join!(writing, reading);
    assert!(got == expected, "got {} of {} bytes", got.len(), expected.len());
    assert_eq!(container.shim.wait().await.unwrap().code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_or_is_slow_does_not_stop_the_container() {
    let fixture = Fixture::new();
    let container = fixture
        .create(&["probe", "spam", "3000000", "exit", "5"])
        .await
        .unwrap();
    drop(container.attach(false).await);
    let slow = container.attach(false).await;
    container.shim.start().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let (stdout, _) = demultiplex(slow).await;
    assert_eq!(stdout.len(), 3_000_000);
    assert_eq!(container.shim.wait().await.unwrap().code, 5);
    assert_eq!(container.logged().len(), 30_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_after_the_end_has_lost_nothing() {
    let fixture = Fixture::new();
    let container = fixture
        .create(&["probe", "spam", "3000000", "exit", "5"])
        .await
        .unwrap();
    let stuck = container.attach(false).await;
    container.shim.start().await.unwrap();
    assert_eq!(container.shim.wait().await.unwrap().code, 5);
    assert_eq!(container.logged().len(), 30_000);
    let (stdout, _) = demultiplex(stuck).await;
    assert_eq!(stdout.len(), 3_000_000);
    container.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_is_cut_off_when_no_more_can_wait_for_it() {
    let fixture = Fixture::new();
    let container = fixture
        .create(&["probe", "spam", "72000000", "exit", "5"])
        .await
        .unwrap();
    let stuck = container.attach(false).await;
    container.shim.start().await.unwrap();
    assert_eq!(container.shim.wait().await.unwrap().code, 5);
    let (stdout, _) = demultiplex(stuck).await;
    assert!(stdout.len() < 72_000_000);
    container.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terminal_with_size_and_detach_keys() {
    let fixture = Fixture::new();
    let options = Options {
        open_stdin: true,
        change: Some(Box::new(|spec| spec.process.terminal = true)),
        ..Options::default()
    };
    let container = fixture
        .create_with(&["probe", "sleep", "0.2", "size", "cat"], options)
        .await
        .unwrap();
    container.shim.resize(91, 37).await.unwrap();
    let mut attached = container.shim.attach(both_ways()).await.unwrap();
    container.shim.start().await.unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 1000];
    while !seen.contains("91x37") {
        let got = attached.read(&mut buffer).await.unwrap();
        assert!(got > 0, "{seen:?}");
        seen.push_str(std::str::from_utf8(&buffer[..got]).unwrap());
    }
    assert!(seen.starts_with("tty=ok\r\n"), "{seen:?}");
    attached.write_all(b"typed\r").await.unwrap();
    while !seen.contains("typed\r\ntyped\r\n") {
        let got = attached.read(&mut buffer).await.unwrap();
        seen.push_str(std::str::from_utf8(&buffer[..got]).unwrap());
    }
    attached.write_all(&[16, 17]).await.unwrap();
    let mut rest = Vec::new();
    attached.read_to_end(&mut rest).await.unwrap();
    // Detached; the container goes on, and ends at the end of a second client's input.
    let mut again = container.shim.attach(both_ways()).await.unwrap();
    again.write_all(&[4]).await.unwrap();
    assert_eq!(container.shim.wait().await.unwrap().code, 0);
    container.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_runs_with_the_container_s_confinement() {
    let fixture = Fixture::new();
    let container = fixture.create(&["probe", "forever"]).await.unwrap();
    let process = |words: &[&str], terminal| ProcessInput {
        args: words.iter().map(|word| (*word).to_owned()).collect(),
        env: vec!["X=1".into()],
        terminal,
        ..ProcessInput::default()
    };
    let spec = |id: &str, words: &[&str], terminal, attach| ExecSpec {
        id: id.into(),
        process: process(words, terminal)
            .build_exec(&container.spec, false)
            .unwrap(),
        attach,
    };
    assert!(matches!(
        container.shim.exec(spec("early", &["probe"], false, None)).await,
        Err(ShimError::Failed(_))
    ));
    container.shim.start().await.unwrap();

    let words = [
        "probe",
        "show",
        "/proc/self/status",
        "err",
        "warn",
        "env",
        "exit",
        "9",
    ];
    let (pid, socket) = container
        .shim
        .exec(spec("one", &words, false, Some(both_ways())))
        .await
        .unwrap();
    assert!(pid > 0);
    let (stdout, stderr) = demultiplex(socket.unwrap()).await;
    assert_eq!(stderr, "warn\n");
    for line in [
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "Seccomp:\t2",
        "X=1",
    ] {
        assert!(stdout.contains(line), "{line:?} is not in {stdout}");
    }
    assert_eq!(container.shim.wait_exec("one").await.unwrap().code, 9);

    let (_, socket) = container
        .shim
        .exec(spec("two", &["probe", "size"], true, Some(both_ways())))
        .await
        .unwrap();
    let mut text = String::new();
    socket.unwrap().read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("tty=ok\r\n"), "{text:?}");
    assert_eq!(container.shim.wait_exec("two").await.unwrap().code, 0);

    match container.shim.exec(spec("three", &["nosuch"], false, None)).await {
        Err(ShimError::Failed(failure)) => {
            assert_eq!(failure.exit_code, Some(127), "{}", failure.message);
            assert!(
                failure
                    .message
                    .ends_with("exec: \"nosuch\": executable file not found in $PATH")
            );
        }
        other => panic!("{other:?}"),
    }
    container
        .shim
        .exec(spec("four", &["probe", "forever"], false, None))
        .await
        .unwrap();
    assert_eq!(container.shim.state().await.unwrap().execs, 1);
    container.shim.kill_exec("four", libc::SIGKILL).await.unwrap();
    assert_eq!(container.shim.wait_exec("four").await.unwrap().code, 137);
    container
        .shim
        .exec(spec("five", &["probe", "forever"], false, None))
        .await
        .unwrap();
    container.shim.kill(libc::SIGKILL).await.unwrap();
    assert_eq!(container.shim.wait().await.unwrap().code, 137);
    container.assert_nothing_left().await;
}
