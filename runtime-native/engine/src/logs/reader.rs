//! Copies a log to a socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::entry::{Selection, Verdict};
use super::files::Cursor;
use super::watch::LogWatch;
use crate::bulk::hung_up;
use crate::clock::now_nanos;
use crate::container::Life;

const CHUNK: usize = 64 << 10;
/// A line longer than this is damage: the shim splits what a container writes at 16 KiB.
const LONGEST_LINE: usize = 1 << 20;

/// When a copy is over.
pub enum Ending {
    /// With what is there now.
    Now,
    /// When the container has ended, and all it wrote was read.
    WithContainer(watch::Receiver<Life>),
}

/// Copies the last `tail` lines of the log (all when negative) and, if asked to follow, what comes after.
/// Ends silently when the reader goes away.
pub async fn copy_log(
    stream: &mut UnixStream,
    log: &Path,
    tail: i64,
    selection: &Selection,
    ending: Ending,
) -> std::io::Result<()> {
    let watch = matches!(ending, Ending::WithContainer(_)).then(|| LogWatch::new(log));
    let mut copy = Copy {
        log: log.to_path_buf(),
        cursor: None,
        rest: Vec::new(),
        selection,
    };
    copy.cursor = Cursor::at_tail(log, tail)?;
    if !copy.drain(stream).await? {
        return Ok(());
    }
    let (Ending::WithContainer(mut life), Some(watch)) = (ending, watch) else {
        return Ok(());
    };
    let deadline = match selection.until_nanos {
        0 => Duration::from_secs(u64::from(u32::MAX)),
        until => Duration::from_nanos(until.saturating_sub(now_nanos()).max(0) as u64),
    };
    let deadline = tokio::time::sleep(deadline);
    tokio::pin!(deadline);
    loop {
        let over = tokio::select! {
            () = watch.changed() => false,
            ended = life.wait_for(|life| !life.has_process && !life.restarting) => { drop(ended); true },
            () = hung_up(stream) => return Ok(()),
            () = &mut deadline => true,
        };
        if !copy.drain(stream).await? || over {
            return Ok(());
        }
    }
}

struct Copy<'a> {
    log: PathBuf,
    cursor: Option<Cursor>,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
    selection: &'a Selection,
}

impl Copy<'_> {
    /// Copies everything there is; false when nothing more can be wanted.
    async fn drain(&mut self, stream: &mut UnixStream) -> std::io::Result<bool> {
        if self.cursor.is_none() {
            self.cursor = Cursor::at_tail(&self.log, -1)?;
        }
        let Some(cursor) = &mut self.cursor else {
            return Ok(true);
        };
        let mut chunk = vec![0u8; CHUNK];
        let mut out = Vec::new();
        loop {
            let n = cursor.read(&mut chunk)?;
            if n == 0 {
                return Ok(true);
            }
            let mut past = false;
            let mut bytes = &chunk[..n];
            while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
                let verdict = if self.rest.is_empty() {
                    self.selection.render(&bytes[..end], &mut out)
                } else {
                    self.rest.extend_from_slice(&bytes[..end]);
                    let verdict = self.selection.render(&self.rest, &mut out);
                    self.rest.clear();
                    verdict
                };
                bytes = &bytes[end + 1..];
                if matches!(verdict, Verdict::Past) {
                    past = true;
                    break;
                }
            }
            if self.rest.len() + bytes.len() <= LONGEST_LINE {
                self.rest.extend_from_slice(bytes);
            } else {
                self.rest.clear();
            }
            stream.write_all(&out).await?;
            out.clear();
            if past {
                return Ok(false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::io::AsyncReadExt;

    use super::*;

    fn line(n: usize) -> String {
        format!(
            "{{\"log\":\"line {n}\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:{:02}.000000000Z\"}}\n",
            n % 60
        )
    }

    fn selection() -> Selection {
        Selection {
            stdout: true,
            stderr: true,
            since_nanos: 0,
            until_nanos: 0,
            timestamps: false,
            details: false,
            raw: true,
        }
    }

    async fn read_all(log: &Path, tail: i64, selection: &Selection) -> String {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let copy = async {
            copy_log(&mut near, log, tail, selection, Ending::Now)
                .await
                .unwrap();
            drop(near);
        };
        let mut text = String::new();
        let (_, read) = tokio::join!(copy, far.read_to_string(&mut text));
        read.unwrap();
        text
    }

    #[tokio::test]
    async fn tails_across_rotated_files() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("json.log");
        fs::write(
            dir.path().join("json.log.1"),
            (0..1000).map(line).collect::<String>(),
        )
        .unwrap();
        fs::write(&log, (1000..1002).map(line).collect::<String>()).unwrap();
        assert_eq!(read_all(&log, 0, &selection()).await, "");
        assert_eq!(read_all(&log, 1, &selection()).await, "line 1001\n");
        assert_eq!(
            read_all(&log, 3, &selection()).await,
            "line 999\nline 1000\nline 1001\n"
        );
        assert_eq!(read_all(&log, -1, &selection()).await.lines().count(), 1002);
        assert_eq!(read_all(&log, 5000, &selection()).await.lines().count(), 1002);
        let until = Selection {
            until_nanos: crate::clock::parse_rfc3339("2026-01-01T00:00:02Z").unwrap(),
            ..selection()
        };
        assert_eq!(read_all(&log, -1, &until).await, "line 0\nline 1\nline 2\n");
    }

    #[tokio::test]
    async fn follows_over_a_rotation_until_the_container_ends() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("json.log");
        fs::write(&log, line(0)).unwrap();
        let life = watch::Sender::new(Life {
            has_process: true,
            ..Life::default()
        });
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let (path, ending) = (log.clone(), Ending::WithContainer(life.subscribe()));
        let copy = tokio::spawn(async move { copy_log(&mut near, &path, -1, &selection(), ending).await });
        let mut expect = async |text: &str| {
            let mut got = vec![0; text.len()];
            far.read_exact(&mut got).await.unwrap();
            assert_eq!(String::from_utf8(got).unwrap(), text);
        };
        expect("line 0\n").await;
        fs::rename(&log, dir.path().join("json.log.1")).unwrap();
        fs::write(&log, line(1)).unwrap();
        expect("line 1\n").await;
        fs::write(dir.path().join("new"), line(2)).unwrap();
        fs::rename(&log, dir.path().join("json.log.1")).unwrap();
        fs::rename(dir.path().join("new"), &log).unwrap();
        expect("line 2\n").await;
        life.send_modify(|life| life.has_process = false);
        copy.await.unwrap().unwrap();
    }
}
