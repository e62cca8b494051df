use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::OnceLock;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

const LIMIT: u64 = 8 << 10;

/// Keeps what libcontainer reports while it makes a container. Its error values say little ("failed to prepare rootfs");
/// the cause is in the events, and most of those come from processes it forks. So they are kept in a file in memory that
/// is shared with them.
pub(crate) struct Trace(&'static File);

struct ErrorEvents(&'static File);

impl Trace {
    /// Begins to keep events. There is one trace a process.
    pub(crate) fn begin() -> io::Result<Self> {
        static FILE: OnceLock<File> = OnceLock::new();
        if let Some(file) = FILE.get() {
            file.set_len(0)?;
            return Ok(Self(file));
        }
        // SAFETY: the name is a C string; the descriptor is new and ours.
        let fd = unsafe { libc::memfd_create(c"trace".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let file = FILE.get_or_init(|| File::from(unsafe { OwnedFd::from_raw_fd(fd) }));
        let _ = tracing::subscriber::set_global_default(ErrorEvents(file));
        Ok(Self(file))
    }

    /// The first event, which is the closest to the cause.
    pub(crate) fn first(&self) -> Option<String> {
        let mut file = self.0;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).ok()?;
        file.take(LIMIT).read_to_end(&mut bytes).ok()?;
        String::from_utf8_lossy(&bytes).lines().next().map(str::to_owned)
    }
}

impl Subscriber for ErrorEvents {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR && metadata.is_event()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let text = format!("{}{}", line.message, line.fields).replace('\n', " ");
        let _ = writeln!({ self.0 }, "{text}");
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            let _ = write!(self.fields, ", {}: {value:?}", field.name());
        }
    }
}
