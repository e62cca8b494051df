use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::clock;
use crate::protocol::{LogConfig, LogDriver};

/// Docker cuts a line that is longer than this into entries.
const MAX_ENTRY: usize = 16 << 10;

/// One of the two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Writes output line by line in Docker's json-file form and begins a new file when one is full.
pub(crate) struct Log {
    config: LogConfig,
    file: Option<File>,
    size: u64,
    partial: [Vec<u8>; 2],
    entries: Vec<u8>,
}

impl Log {
    pub(crate) fn open(config: LogConfig) -> io::Result<Self> {
        let mut log = Self {
            config,
            file: None,
            size: 0,
            partial: Default::default(),
            entries: Vec::new(),
        };
        if log.config.driver == LogDriver::JsonFile {
            log.reopen()?;
        }
        Ok(log)
    }

    /// Logs a piece of output. A line that has no end yet waits for it.
    pub(crate) fn write(&mut self, stream: Stream, mut bytes: &[u8]) -> io::Result<()> {
        if self.config.driver == LogDriver::None {
            return Ok(());
        }
        let mut partial = std::mem::take(&mut self.partial[stream as usize]);
        while !bytes.is_empty() {
            let room = MAX_ENTRY - partial.len();
            let line_end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let take = line_end.unwrap_or(bytes.len()).min(room);
            let (head, tail) = bytes.split_at(take);
            bytes = tail;
            let complete = head.ends_with(b"\n") || take == room;
            if !complete {
                partial.extend_from_slice(head);
            } else if partial.is_empty() {
                self.entry(stream, head)?;
            } else {
                partial.extend_from_slice(head);
                self.entry(stream, &partial)?;
                partial.clear();
            }
        }
        self.partial[stream as usize] = partial;
        self.flush()
    }

    /// Logs what is left of a stream that has ended.
    pub(crate) fn finish(&mut self, stream: Stream) -> io::Result<()> {
        let rest = std::mem::take(&mut self.partial[stream as usize]);
        if !rest.is_empty() {
            self.entry(stream, &rest)?;
        }
        self.flush()
    }

    fn entry(&mut self, stream: Stream, text: &[u8]) -> io::Result<()> {
        let before = self.entries.len();
        self.entries.extend_from_slice(b"{\"log\":\"");
        escape(text, &mut self.entries);
        let name = if stream == Stream::Stdout {
            "stdout"
        } else {
            "stderr"
        };
        let _ = writeln!(
            self.entries,
            "\",\"stream\":\"{name}\",\"time\":\"{}\"}}",
            clock::now()
        );
        let length = (self.entries.len() - before) as u64;
        self.size += length;
        if self.config.max_size > 0 && self.size > self.config.max_size && self.size > length {
            let entry = self.entries.split_off(before);
            self.flush()?;
            self.rotate()?;
            self.size = length;
            self.entries = entry;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        if self.file.is_none() {
            self.reopen()?;
        }
        let result = match &mut self.file {
            Some(file) => file.write_all(&self.entries),
            None => Ok(()),
        };
        self.entries.clear();
        self.entries.shrink_to(MAX_ENTRY);
        result
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&self.config.path)?;
        self.size = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    /// `LOG` becomes `LOG.1`, that one `LOG.2`, and the oldest goes.
    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        let numbered = |number: u32| -> PathBuf {
            let mut path = self.config.path.clone().into_os_string();
            path.push(format!(".{number}"));
            path.into()
        };
        if self.config.max_file <= 1 {
            fs::remove_file(&self.config.path)?;
        } else {
            for number in (1..self.config.max_file - 1).rev() {
                crate::exit::ignore_missing(fs::rename(numbered(number), numbered(number + 1)))?;
            }
            fs::rename(&self.config.path, numbered(1))?;
        }
        self.reopen()
    }
}

/// A JSON string as Docker writes it: HTML's characters escaped, bytes that are not UTF-8 replaced.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => out.extend([b'\\', character as u8]),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    let _ = write!(out, "\\u{:04x}", character as u32);
                }
                _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(directory: &std::path::Path, max_size: u64, max_file: u32) -> Log {
        let path = directory.join("c-json.log");
        Log::open(LogConfig {
            driver: LogDriver::JsonFile,
            path,
            max_size,
            max_file,
        })
        .unwrap()
    }

    fn texts(path: &std::path::Path) -> Vec<(String, String)> {
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
        log.write(Stream::Stdout, b"o\nrest").unwrap();
        log.finish(Stream::Stdout).unwrap();
        log.write(Stream::Stdout, &vec![b'x'; MAX_ENTRY + 5]).unwrap();
        log.finish(Stream::Stdout).unwrap();
        let entries = texts(&directory.path().join("c-json.log"));
        let expected = [
            ("stdout", "one\n"),
            ("stderr", "bad \u{fffd} <&>\t\"\n"),
            ("stdout", "two\n"),
            ("stdout", "rest"),
        ];
        for (entry, (stream, text)) in entries.iter().zip(expected) {
            assert_eq!((entry.0.as_str(), entry.1.as_str()), (stream, text));
        }
        assert_eq!(entries[4].1.len(), MAX_ENTRY);
        assert_eq!(entries[5].1, "xxxxx");
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
}
