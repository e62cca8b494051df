//! Copies a log to a socket.

use std::path::PathBuf;
use std::time::Duration;

use creel_shim::protocol::LogDriver;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::driver::{Piece, decode};
use super::entry::{Selection, Verdict};
use super::files::Cursor;
use super::watch::LogWatch;
use crate::bulk::hung_up;
use crate::clock::now_nanos;
use crate::container::Life;

const CHUNK: usize = 64 << 10;

/// A container's log: its file and the form of that.
#[derive(Clone, Debug)]
pub struct Source {
    pub path: PathBuf,
    pub driver: LogDriver,
}

/// When a copy is over.
pub enum Ending {
    /// With what is there now.
    Now,
    /// When the container has ended, and all it wrote was read.
    WithContainer(watch::Receiver<Life>),
}

/// Copies the last `tail` entries of the log (all when negative) and, if asked to follow, what comes after.
/// Ends silently when the reader goes away.
pub async fn copy_log(
    stream: &mut UnixStream,
    source: &Source,
    tail: i64,
    selection: &Selection,
    ending: Ending,
) -> std::io::Result<()> {
    let watch = matches!(ending, Ending::WithContainer(_)).then(|| LogWatch::new(&source.path));
    let mut copy = Copy {
        source,
        cursor: source.open(tail).await?,
        rest: Vec::new(),
        selection,
    };
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

impl Source {
    /// Finding the place may mean to unpack files, so it is done aside.
    async fn open(&self, tail: i64) -> std::io::Result<Option<Cursor>> {
        let Self { path, driver } = self.clone();
        let open = move || Cursor::at_tail(&path, driver, tail);
        tokio::task::spawn_blocking(open)
            .await
            .map_err(std::io::Error::other)?
    }
}

struct Copy<'a> {
    source: &'a Source,
    cursor: Option<Cursor>,
    /// The beginning of an entry whose end is not written yet.
    rest: Vec<u8>,
    selection: &'a Selection,
}

impl Copy<'_> {
    /// Copies everything there is; false when nothing more can be wanted.
    async fn drain(&mut self, stream: &mut UnixStream) -> std::io::Result<bool> {
        if self.cursor.is_none() {
            self.cursor = self.source.open(-1).await?;
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
            self.rest.extend_from_slice(&chunk[..n]);
            let mut at = 0;
            let mut past = false;
            while let Piece::Entry(entry, length) = decode(self.source.driver, &self.rest[at..]) {
                at += length;
                // Damage is passed over.
                let verdict = entry.map(|entry| self.selection.render(&entry, &mut out));
                if matches!(verdict, Some(Verdict::Past)) {
                    past = true;
                    break;
                }
            }
            self.rest.drain(..at);
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
    use std::io::Write;
    use std::path::Path;

    use creel_shim::log::{file, local};
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

    fn json(log: &Path) -> Source {
        let path = log.to_path_buf();
        Source {
            path,
            driver: LogDriver::JsonFile,
        }
    }

    async fn read_all(log: &Path, tail: i64, selection: &Selection) -> String {
        read(&json(log), tail, selection).await
    }

    async fn read(source: &Source, tail: i64, selection: &Selection) -> String {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let copy = async {
            copy_log(&mut near, source, tail, selection, Ending::Now)
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
        let (source, ending) = (json(&log), Ending::WithContainer(life.subscribe()));
        let copy = tokio::spawn(async move { copy_log(&mut near, &source, -1, &selection(), ending).await });
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

    fn entries(range: std::ops::Range<usize>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for n in range {
            let text = format!("line {n}\n");
            let entry = local::Entry {
                stderr: n % 2 == 1,
                time_nanos: n as i64,
                text: text.as_bytes(),
            };
            local::encode(&entry, &mut bytes);
        }
        bytes
    }

    fn pack(path: &Path) {
        let from = fs::File::open(path).unwrap();
        let to = fs::File::create(file::compressed(path)).unwrap();
        let comment = file::identity(&from).unwrap();
        let mut encoder = flate2::GzBuilder::new()
            .comment(comment)
            .write(to, flate2::Compression::fast());
        encoder.write_all(&fs::read(path).unwrap()).unwrap();
        encoder.finish().unwrap();
        fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn reads_packed_files_and_what_is_whole_of_torn_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("container.log");
        for (number, range) in [(2, 0..5000), (1, 5000..10_000)] {
            fs::write(file::rotated(&path, number), entries(range)).unwrap();
        }
        pack(&file::rotated(&path, 2));
        let mut last = entries(10_000..10_010);
        last.truncate(last.len() - 3);
        fs::write(&path, last).unwrap();
        let source = Source {
            path,
            driver: LogDriver::Local,
        };
        let lines = |range: std::ops::Range<usize>| range.map(|n| format!("line {n}\n")).collect::<String>();
        for tail in [0, 1, 9, 10, 4000, 5009, 5010, 9000, 10_009, 20_000] {
            let from = 10_009usize.saturating_sub(tail);
            let read = read(&source, tail as i64, &selection()).await;
            assert_eq!(read, lines(from..10_009), "the last {tail}");
        }
        let some = Selection {
            stdout: false,
            since_nanos: 4997,
            until_nanos: 5002,
            ..selection()
        };
        assert_eq!(
            read(&source, -1, &some).await,
            "line 4997\nline 4999\nline 5001\n"
        );
    }

    #[tokio::test]
    async fn follows_a_file_that_was_packed_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("container.log");
        fs::write(&path, entries(0..2)).unwrap();
        let mut cursor = Cursor::at_tail(&path, LogDriver::Local, 1).unwrap().unwrap();
        let mut buffer = vec![0; 1000];
        assert_eq!(cursor.read(&mut buffer).unwrap(), entries(1..2).len());
        for n in 2..4 {
            if n == 3 {
                fs::rename(
                    file::compressed(&file::rotated(&path, 1)),
                    file::compressed(&file::rotated(&path, 2)),
                )
                .unwrap();
            }
            fs::rename(&path, file::rotated(&path, 1)).unwrap();
            fs::write(&path, entries(n..n + 1)).unwrap();
            pack(&file::rotated(&path, 1));
        }
        for n in 2..4 {
            let read = cursor.read(&mut buffer).unwrap();
            assert_eq!(buffer[..read], entries(n..n + 1), "entry {n}");
        }
        assert_eq!(cursor.read(&mut buffer).unwrap(), 0);
    }
}
