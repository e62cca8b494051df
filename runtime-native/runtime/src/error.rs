use std::io;
use std::path::Path;

/// What can go wrong between a spec and a running container.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The request itself is wrong; the text says which part.
    #[error("{0}")]
    Invalid(String),
    /// The command does not exist in the container. Docker's exit status for it is 127.
    #[error("unable to start container process: {0}")]
    CommandNotFound(String),
    /// The command exists and cannot be executed. Docker's exit status for it is 126.
    #[error("unable to start container process: {0}")]
    CommandNotExecutable(String),
    /// The container is not in a state that allows this.
    #[error("{0}")]
    State(String),
    /// A system call on something named failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the name of the object.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The container format refused or failed.
    #[error("{0}")]
    Failed(String),
}

impl RuntimeError {
    /// Wraps an I/O error with what was being done to which path.
    pub fn io(what: &str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            what: format!("{what} {}", path.display()),
            source,
        }
    }

    /// Docker's exit status for a command that could not be started, where it has one.
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Self::CommandNotFound(_) => Some(127),
            Self::CommandNotExecutable(_) => Some(126),
            _ => None,
        }
    }
}

/// The text as people write it: `no such file or directory` where Rust says `No such file or directory (os error 2)`.
pub fn in_plain_words(text: String) -> String {
    const MARK: &str = " (os error ";
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once(MARK) {
        let answer = after.split_once(')').and_then(|(number, after)| {
            let said = io::Error::from_raw_os_error(number.parse().ok()?).to_string();
            let words = said.split(MARK).next()?;
            Some((before.strip_suffix(words)?, words.to_owned(), after))
        });
        match answer {
            Some((before, words, after)) => {
                let (first, others) = words.split_at(1);
                plain += &format!("{before}{}{others}", first.to_lowercase());
                rest = after;
            }
            None => {
                plain += &format!("{before}{MARK}");
                rest = after;
            }
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_system_are_put_in_plain_words() {
        let missing = io::Error::from_raw_os_error(libc::ENOENT);
        let error = RuntimeError::io("open", Path::new("/a"), missing).to_string();
        assert_eq!(
            in_plain_words(format!("{error}; {}", io::Error::from_raw_os_error(libc::EIO))),
            "open /a: no such file or directory; input/output error"
        );
        for other in ["", "Nothing", "a (os error x) b", "a (os error 2)", "(os error 2"] {
            assert_eq!(in_plain_words(other.to_owned()), other);
        }
    }
}
