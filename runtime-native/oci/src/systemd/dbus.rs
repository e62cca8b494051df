//! Calls of systemd's manager over its own socket, and the signal that tells of a job's end.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::message::{Body, FAILURE, Message, REPLY, Reader, SIGNAL, malformed};

const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to systemd itself, without a message bus between.
pub struct Connection {
    stream: UnixStream,
    serial: u32,
    signals: Vec<Message>,
}

impl Connection {
    /// Connects to the socket and says who this is, which the kernel attests.
    pub fn open(socket: &Path) -> io::Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        // SAFETY: a plain call.
        let uid = unsafe { libc::geteuid() }.to_string();
        let uid: String = uid.bytes().map(|digit| format!("{digit:02x}")).collect();
        // All at once: a call that systemd reads together with the last line of this waits there until more comes.
        stream.write_all(format!("\0AUTH EXTERNAL {uid}\r\nBEGIN\r\n").as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            answer.push(byte[0]);
            if answer.len() > 512 {
                return Err(malformed());
            }
        }
        if !answer.starts_with(b"OK ") {
            let text = String::from_utf8_lossy(&answer).trim().to_owned();
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(Self {
            stream,
            serial: 0,
            signals: Vec::new(),
        })
    }

    /// Calls a method of systemd's manager; gives the body of its reply. The error is what systemd says.
    pub fn call(&mut self, method: &str, body: Body) -> io::Result<Vec<u8>> {
        self.serial += 1;
        self.stream.write_all(&body.call(self.serial, method))?;
        loop {
            let message = Message::read(&mut self.stream)?;
            match message.kind {
                REPLY if message.reply_to == self.serial => return Ok(message.body),
                FAILURE if message.reply_to == self.serial => {
                    let text = Reader::new(&message.body).text().unwrap_or_default();
                    return Err(io::Error::other(format!("{}: {text}", message.error)));
                }
                SIGNAL => self.signals.push(message),
                _ => {}
            }
        }
    }

    /// Calls a method that begins a job, and waits for the end of that.
    pub fn job(&mut self, method: &str, body: Body) -> io::Result<()> {
        let reply = self.call(method, body)?;
        let job = Reader::new(&reply).text().ok_or_else(malformed)?;
        loop {
            let message = match self.signals.pop() {
                Some(message) => message,
                None => Message::read(&mut self.stream)?,
            };
            if message.kind != SIGNAL || message.member != "JobRemoved" {
                continue;
            }
            let mut reader = Reader::new(&message.body);
            let ended = reader
                .u32()
                .and_then(|_| Some((reader.text()?, reader.text()?, reader.text()?)));
            let (ended, unit, result) = ended.ok_or_else(malformed)?;
            if ended == job {
                return match result.as_str() {
                    "done" => Ok(()),
                    other => Err(io::Error::other(format!("the job of {unit} ended as {other}"))),
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixListener;

    use super::super::message::tests::message;
    use super::*;

    /// A manager that answers each call with what is given, after it has read the call. Like systemd it reads what is there
    /// while it does not know who speaks, and what came behind the last line of that waits until more comes.
    fn manager(answers: Vec<Vec<u8>>) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("private");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
            while !said.ends_with(b"BEGIN\r\n") {
                let size = stream.read(&mut buffer).unwrap();
                said.extend_from_slice(&buffer[..size]);
                if said.ends_with(b"\r\n") {
                    stream.write_all(b"OK 0123\r\n").unwrap();
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            for answer in answers {
                assert!(stream.read(&mut buffer).unwrap() > 0);
                stream.write_all(&answer).unwrap();
            }
        });
        (directory, path)
    }

    #[test]
    fn a_job_ends_with_its_own_signal_and_says_how() {
        let removed = |job: &str, result: &str| {
            let number = Body::default().bool(true);
            let body = number.text(job).text("x.scope").text(result);
            message(SIGNAL, &[(3, "s", "JobRemoved")], 0, &body)
        };
        let reply = message(REPLY, &[], 1, &Body::default().text("/job/7"));
        let all = [
            removed("/job/6", "failed"),
            reply.clone(),
            removed("/job/7", "done"),
        ]
        .concat();
        let (_kept, path) = manager(vec![all]);
        let mut connection = Connection::open(&path).unwrap();
        connection.job("StartTransientUnit", Body::default()).unwrap();

        let (_kept, path) = manager(vec![[reply, removed("/job/7", "failed")].concat()]);
        let mut connection = Connection::open(&path).unwrap();
        let error = connection.job("StartTransientUnit", Body::default()).unwrap_err();
        assert_eq!(error.to_string(), "the job of x.scope ended as failed");
    }

    #[test]
    fn a_refusal_is_told_and_garbage_is_an_error() {
        let name = [(4, "s", "org.freedesktop.systemd1.UnitExists")];
        let body = Body::default().text("Unit x.scope already exists.");
        let (_kept, path) = manager(vec![message(FAILURE, &name, 1, &body)]);
        let mut connection = Connection::open(&path).unwrap();
        let error = connection
            .call("StartTransientUnit", Body::default())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "org.freedesktop.systemd1.UnitExists: Unit x.scope already exists."
        );
        let (_kept, path) = manager(vec![vec![0xff; 64]]);
        let mut connection = Connection::open(&path).unwrap();
        assert!(connection.call("M", Body::default()).is_err());
    }
}
