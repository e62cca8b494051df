//! What becomes of a container's output: entries of one line each, in the form of the log driver, in files.

mod aside;
pub mod file;
mod json;
pub mod local;

use std::io;
use std::os::fd::RawFd;

use crate::clock;
use crate::protocol::{LogConfig, LogDriver};

use aside::Aside;
use file::LogFile;

/// Docker cuts a line that is longer than this into entries.
const MAX_ENTRY: usize = 16 << 10;

/// One of the two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Where a container's output is logged.
pub(crate) enum Log {
    /// Before anything else is done with it.
    Direct(Writer),
    /// By a process of its own.
    Aside(Aside),
}

impl Log {
    pub(crate) fn open(config: LogConfig) -> io::Result<Self> {
        let buffer = config.buffer;
        let writer = Writer::open(config)?;
        Ok(match buffer {
            Some(limit) => Self::Aside(Aside::start(writer, limit as usize)?),
            None => Self::Direct(writer),
        })
    }

    /// Logs a piece of output. A line that has no end yet waits for it.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Direct(writer) => writer.write(stream, bytes),
            Self::Aside(aside) => {
                aside.write(stream, bytes);
                Ok(())
            }
        }
    }

    /// The descriptor to wait for until more can be sent; none if nothing waits.
    pub(crate) fn waits_for(&self) -> Option<RawFd> {
        match self {
            Self::Direct(_) => None,
            Self::Aside(aside) => aside.waits_for(),
        }
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self) {
        if let Self::Aside(aside) = self {
            aside.flush();
        }
    }

    /// Logs what is left of the streams, which have ended.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self {
            Self::Direct(writer) => writer.finish(),
            Self::Aside(aside) => {
                aside.finish();
                Ok(())
            }
        }
    }
}

/// Writes output line by line, and begins a new file when one is full.
pub(crate) struct Writer {
    driver: LogDriver,
    /// What each entry tells of the container, ready to be written.
    attributes: String,
    /// None for the driver that keeps nothing.
    file: Option<LogFile>,
    partial: [Vec<u8>; 2],
    entries: Vec<u8>,
}

impl Writer {
    fn open(config: LogConfig) -> io::Result<Self> {
        Ok(Self {
            driver: config.driver,
            attributes: json::attributes(&config.attributes),
            file: match config.driver {
                LogDriver::None => None,
                LogDriver::JsonFile | LogDriver::Local => Some(LogFile::open(config)?),
            },
            partial: Default::default(),
            entries: Vec::new(),
        })
    }

    /// What has to stay open for it.
    fn descriptor(&self) -> Option<RawFd> {
        self.file.as_ref().and_then(LogFile::descriptor)
    }

    fn write(&mut self, stream: Stream, mut bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        let mut partial = std::mem::take(&mut self.partial[stream as usize]);
        let mut result = Ok(());
        while !bytes.is_empty() {
            let room = MAX_ENTRY - partial.len();
            let line_end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let take = line_end.unwrap_or(bytes.len()).min(room);
            let (head, tail) = bytes.split_at(take);
            bytes = tail;
            let complete = head.ends_with(b"\n") || take == room;
            if !complete {
                partial.extend_from_slice(head);
                continue;
            }
            let entry = if partial.is_empty() {
                self.entry(stream, head)
            } else {
                partial.extend_from_slice(head);
                let entry = self.entry(stream, &partial);
                partial.clear();
                entry
            };
            // The entries after one that could not be written are tried all the same.
            result = result.and(entry);
        }
        self.partial[stream as usize] = partial;
        result.and(self.flush())
    }

    fn finish(mut self) -> io::Result<()> {
        let mut result = Ok(());
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = std::mem::take(&mut self.partial[stream as usize]);
            if !rest.is_empty() {
                result = result.and(self.entry(stream, &rest));
            }
        }
        result = result.and(self.flush());
        self.file.into_iter().for_each(LogFile::close);
        result
    }

    fn entry(&mut self, stream: Stream, text: &[u8]) -> io::Result<()> {
        let before = self.entries.len();
        match self.driver {
            LogDriver::Local => {
                let entry = local::Entry {
                    stderr: stream == Stream::Stderr,
                    time_nanos: clock::now_nanos(),
                    text,
                };
                local::encode(&entry, &mut self.entries);
            }
            _ => json::encode(stream, text, &clock::now(), &self.attributes, &mut self.entries),
        }
        let begins_another = |file: &LogFile| file.full(self.entries.len(), before);
        if !self.file.as_ref().is_some_and(begins_another) {
            return Ok(());
        }
        let entry = self.entries.split_off(before);
        let written = self.flush();
        self.entries = entry;
        let rotated = self.file.as_mut().map_or(Ok(()), LogFile::rotate);
        written.and(rotated)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = match &mut self.file {
            Some(file) if !self.entries.is_empty() => file.append(&self.entries),
            _ => Ok(()),
        };
        self.entries.clear();
        self.entries.shrink_to(MAX_ENTRY);
        result
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::path::Path;

    use super::*;

    fn config(directory: &Path, driver: LogDriver) -> LogConfig {
        LogConfig {
            driver,
            path: directory.join("c-json.log"),
            max_size: 0,
            max_file: 1,
            compress: false,
            attributes: Default::default(),
            buffer: None,
        }
    }

    fn log(directory: &Path, max_size: u64, max_file: u32) -> Log {
        let config = config(directory, LogDriver::JsonFile);
        Log::open(LogConfig {
            max_size,
            max_file,
            ..config
        })
        .unwrap()
    }

    fn texts(path: &Path) -> Vec<(String, String)> {
        let parse = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            (
                value["stream"].as_str().unwrap().to_owned(),
                value["log"].as_str().unwrap().to_owned(),
            )
        };
        fs::read_to_string(path).unwrap().lines().map(parse).collect()
    }

    #[test]
    fn joins_pieces_to_lines_and_cuts_long_ones() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = log(directory.path(), 0, 1);
        log.write(Stream::Stdout, b"one\ntw").unwrap();
        log.write(Stream::Stderr, b"bad \xff <&>\t\"\n").unwrap();
        log.write(Stream::Stdout, b"o\n").unwrap();
        log.write(Stream::Stdout, &vec![b'x'; MAX_ENTRY + 5]).unwrap();
        log.write(Stream::Stderr, b"rest").unwrap();
        log.finish().unwrap();
        let entries = texts(&directory.path().join("c-json.log"));
        let expected = [
            ("stdout", "one\n"),
            ("stderr", "bad \u{fffd} <&>\t\"\n"),
            ("stdout", "two\n"),
        ];
        for (entry, (stream, text)) in entries.iter().zip(expected) {
            assert_eq!((entry.0.as_str(), entry.1.as_str()), (stream, text));
        }
        assert_eq!(entries[3].1.len(), MAX_ENTRY);
        assert_eq!(entries[4].1, "xxxxx");
        assert_eq!(entries[5], ("stderr".into(), "rest".into()));
        let raw = fs::read_to_string(directory.path().join("c-json.log")).unwrap();
        assert!(
            raw.contains(r#"bad \ufffd \u003c\u0026\u003e\u0009\"\n"#),
            "{raw}"
        );
    }

    #[test]
    fn keeps_as_many_files_as_asked_and_loses_no_recent_line() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = log(directory.path(), 400, 3);
        for number in 0..40 {
            log.write(Stream::Stdout, format!("line {number}\n").as_bytes())
                .unwrap();
        }
        let mut names: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["c-json.log", "c-json.log.1", "c-json.log.2"]);
        let all: Vec<_> = names
            .iter()
            .rev()
            .flat_map(|name| texts(&directory.path().join(name)))
            .collect();
        assert_eq!(all.last().unwrap().1, "line 39\n");
        let first: usize = all[0].1.trim().trim_start_matches("line ").parse().unwrap();
        assert_eq!(all.len(), 40 - first);
        assert!(fs::metadata(directory.path().join("c-json.log.1")).unwrap().len() <= 400);
    }

    #[test]
    fn tells_attributes() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path(), LogDriver::JsonFile);
        config.attributes = [("a".to_owned(), "\"<b".to_owned())].into();
        let mut log = Log::open(config).unwrap();
        log.write(Stream::Stdout, b"one\n").unwrap();
        let raw = fs::read_to_string(directory.path().join("c-json.log")).unwrap();
        let entry: serde_json::Value = serde_json::from_str(&raw).unwrap();
        assert_eq!(entry["attrs"], serde_json::json!({"a": "\"<b"}));
    }

    #[test]
    fn compresses_what_was_rotated_and_says_which_file_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c-json.log");
        let mut log = Log::open(LogConfig {
            max_size: 20_000,
            max_file: 3,
            compress: true,
            ..config(directory.path(), LogDriver::Local)
        })
        .unwrap();
        let first = file::identity(&fs::File::open(&path).unwrap()).unwrap();
        for number in 0..1000 {
            log.write(Stream::Stdout, format!("line {number:03}\n").as_bytes())
                .unwrap();
        }
        log.finish().unwrap();
        let packed = file::compressed(&file::rotated(&path, 1));
        let mut decoder = flate2::read::GzDecoder::new(fs::File::open(&packed).unwrap());
        let mut bytes = Vec::new();
        decoder.read_to_end(&mut bytes).unwrap();
        assert_eq!(decoder.header().unwrap().comment().unwrap(), first.as_bytes());
        bytes.extend(fs::read(&path).unwrap());
        let mut rest = &bytes[..];
        for number in 0..1000 {
            let local::Piece::Entry(entry) = local::decode(rest) else {
                panic!("entry {number}")
            };
            assert_eq!(entry.text, format!("line {number:03}\n").as_bytes());
            rest = &rest[local::OVERHEAD + entry.text.len()..];
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn goes_on_after_an_entry_that_was_torn() {
        for driver in [LogDriver::JsonFile, LogDriver::Local] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("c-json.log");
            let write = |text: &[u8]| {
                let mut log = Log::open(config(directory.path(), driver)).unwrap();
                log.write(Stream::Stdout, text).unwrap();
                fs::read(&path).unwrap()
            };
            let whole = write(b"one\n").len();
            let torn = write(b"a longer line\n");
            fs::write(&path, &torn[..torn.len() - 3]).unwrap();
            let bytes = write(b"two\n");
            if driver == LogDriver::JsonFile {
                let lines: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
                assert!(serde_json::from_slice::<serde_json::Value>(lines[1]).is_err());
                assert!(serde_json::from_slice::<serde_json::Value>(lines[2]).is_ok());
            } else {
                assert!(
                    matches!(local::decode(&bytes[whole..]), local::Piece::Entry(entry) if entry.text == b"two\n")
                );
            }
        }
    }

    #[test]
    fn a_log_of_its_own_process_has_all_that_fits_into_the_buffer() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path(), LogDriver::JsonFile);
        config.buffer = Some(4 << 20);
        let mut log = Log::open(config).unwrap();
        for number in 0..20_000 {
            log.write(Stream::Stdout, format!("line {number}\n").as_bytes())
                .unwrap();
        }
        log.write(Stream::Stderr, b"rest").unwrap();
        log.finish().unwrap();
        let entries = texts(&directory.path().join("c-json.log"));
        assert_eq!(entries.len(), 20_001);
        assert_eq!(entries[19_999].1, "line 19999\n");
        assert_eq!(entries[20_000], ("stderr".into(), "rest".into()));
    }
}
