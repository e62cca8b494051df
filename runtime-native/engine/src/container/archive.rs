//! Files in and out of a container, as archives. A path means what it would mean to a process inside: links are
//! followed below the container's root and lead nowhere else, whatever is exchanged meanwhile.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use creel_image::plain;
use creel_runtime::rootfs::open_in_root;
use creel_runtime::spec::resolve_user;
use creel_runtime::user_namespace::{IdMap, as_root_of};
use creel_storage::{Owners, Placement, of_the_kernel, place, write_archive};
use rustix::fs::{AtFlags, FileType, Stat};

use super::Container;
use super::runtime_spec::runtime_error;
use crate::engine::Engine;
use crate::error::{EngineError, ErrorCode, Result};
use crate::images::image_error;
use crate::network::blocking;
use crate::progress::ProgressStream;
use crate::proto::{PathRef, PathStat, ProgressDone, WriteArchiveRequest};
use crate::volume::storage_error;

/// How long a client may take none of an archive's bytes, or send none.
const PATIENCE: Duration = Duration::from_secs(600);

/// A file of a container: a name in an open directory.
struct Found {
    directory: OwnedFd,
    name: OsString,
    /// What it is called in an archive.
    called: PathBuf,
    stat: Stat,
}

impl Engine {
    /// What `docker cp` must know of a path first.
    pub async fn stat_path(self: &Arc<Self>, request: PathRef) -> Result<PathStat> {
        let container = self.containers.find(&request.id)?;
        let engine = self.clone();
        blocking(move || {
            engine.with_view(&container, |root, _| {
                let found = find(root, &request)?;
                describe(&found, &request.path)
            })
        })
        .await
    }

    /// Writes an archive of a path to the socket named in the first message.
    pub fn read_archive(self: &Arc<Self>, request: PathRef) -> Result<ProgressStream> {
        let container = self.containers.find(&request.id)?;
        self.over_socket(move |engine, stream, _| {
            engine.with_view(&container, |root, ids| {
                let found = find(root, &request)?;
                send(stream, |out| {
                    write_archive(&found.directory, &found.name, &found.called, inside_of(ids), out)
                })
            })?;
            engine.emit_container(&container, "archive-path", []);
            Ok((Vec::new(), ProgressDone::default()))
        })
    }

    /// Puts the files of an archive, which the caller writes to the socket named in the first message, into a directory.
    pub fn write_archive(self: &Arc<Self>, request: WriteArchiveRequest) -> Result<ProgressStream> {
        let container = self.containers.find(&request.id)?;
        self.over_socket(move |engine, stream, _| {
            bound(&stream)?;
            engine.with_view(&container, |root, ids| {
                let mut placement = placement(root, &container, &request)?;
                placement.owners = ids
                    .cloned()
                    .map(|ids| Owners::new(move |owner| ids.outside(owner)));
                let place_all = || {
                    let mut archive = plain(stream).map_err(image_error)?;
                    place(root, &placement, &mut archive).map_err(storage_error)
                };
                as_root_of(ids, || Ok(place_all()))
                    .map_err(|e| EngineError::io("act as the container's root", e))?
            })?;
            engine.emit_container(&container, "extract-to-dir", []);
            Ok((Vec::new(), ProgressDone::default()))
        })
    }
}

/// Owners as they are in a container whose files have those of `ids`.
pub(super) fn inside_of(ids: Option<&IdMap>) -> Option<Owners> {
    ids.cloned()
        .map(|ids| Owners::new(move |owner| ids.inside(owner)))
}

/// Sends an archive to a client that may be slow, but not for ever.
pub(super) fn send(
    stream: UnixStream,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    bound(&stream)?;
    let mut out = BufWriter::with_capacity(256 << 10, stream);
    write(&mut out)
        .and_then(|()| out.flush())
        .map_err(|e| EngineError::io("write the archive", e))
}

fn bound(stream: &UnixStream) -> Result<()> {
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .map_err(|e| EngineError::io("use the socket", e))
}

/// A path without `.` and `..`, below the root.
fn clean(path: &str) -> Result<PathBuf> {
    if path.is_empty() || path.contains('\0') {
        return Err(EngineError::invalid("a path in the container must be given"));
    }
    let mut clean = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            _ => {}
        }
    }
    Ok(clean)
}

fn inside(root: &OwnedFd, path: &Path, flags: i32) -> std::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let root = File::from(root.try_clone()?);
    open_in_root(&root, path, libc::O_PATH | flags).map(OwnedFd::from)
}

fn find(root: &OwnedFd, request: &PathRef) -> Result<Found> {
    let path = request.path.as_str();
    let missing = |e: std::io::Error| match e.raw_os_error() {
        Some(libc::ENOENT | libc::ELOOP) => EngineError::new(
            ErrorCode::NoSuchPath,
            format!("Could not find the file {path} in container {}", request.id),
        ),
        Some(libc::ENOTDIR) => EngineError::invalid(format!("{path}: not a directory")),
        _ => EngineError::io(format_args!("open {path}"), e),
    };
    let below = clean(path)?;
    let through = path.ends_with('/') || path.ends_with("/.") || path == ".";
    let (directory, name, called) = match below.file_name() {
        None => (
            inside(root, &below, libc::O_DIRECTORY),
            OsStr::new("."),
            Path::new("/"),
        ),
        Some(name) if through => {
            let called = if path.ends_with('.') {
                OsStr::new(".")
            } else {
                name
            };
            let directory = inside(root, &below, libc::O_DIRECTORY);
            (directory, OsStr::new("."), Path::new(called))
        }
        Some(name) => {
            let parent = below.parent().unwrap_or(Path::new(""));
            (inside(root, parent, libc::O_DIRECTORY), name, Path::new(name))
        }
    };
    let directory = directory.map_err(missing)?;
    let stat =
        rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| missing(e.into()))?;
    if of_the_kernel(&directory).map_err(missing)? {
        let text =
            format!("{path} is in a file system of the kernel, which is not copied; read it with exec");
        return Err(EngineError::invalid(text));
    }
    Ok(Found {
        directory,
        name: name.to_owned(),
        called: called.to_owned(),
        stat,
    })
}

fn describe(found: &Found, path: &str) -> Result<PathStat> {
    let link_target = match FileType::from_raw_mode(found.stat.st_mode) {
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(&found.directory, &found.name, Vec::new())
                .map_err(|e| EngineError::io(format_args!("read the link {path}"), e))?;
            let target = target.to_string_lossy();
            let from = clean(path)?;
            let whole = from.parent().unwrap_or(Path::new("")).join(&*target);
            format!("/{}", clean(&whole.to_string_lossy())?.display())
        }
        _ => String::new(),
    };
    Ok(PathStat {
        name: found.called.to_string_lossy().into_owned(),
        size: found.stat.st_size,
        mode: found.stat.st_mode,
        mtime_nanos: found.stat.st_mtime * 1_000_000_000 + found.stat.st_mtime_nsec as i64,
        link_target,
    })
}

fn placement(root: &OwnedFd, container: &Container, request: &WriteArchiveRequest) -> Result<Placement> {
    let directory = clean(&request.path)?;
    let failed = |e: std::io::Error| match e.raw_os_error() {
        Some(libc::ENOENT | libc::ELOOP) => EngineError::new(
            ErrorCode::NoSuchPath,
            format!(
                "Could not find the file {} in container {}",
                request.path, request.id
            ),
        ),
        Some(libc::ENOTDIR) => EngineError::invalid("extraction point is not a directory"),
        _ => EngineError::io(format_args!("open {}", request.path), e),
    };
    let found = inside(root, &directory, libc::O_DIRECTORY).map_err(failed)?;
    let definition = container.definition();
    let on_root = || Some(rustix::fs::fstat(&found).ok()?.st_dev == rustix::fs::fstat(root).ok()?.st_dev);
    if definition.spec.read_only && on_root() == Some(true) {
        return Err(EngineError::conflict("container rootfs is marked read-only"));
    }
    let user = &definition.merged.user;
    let owner = match request.container_owner && !user.is_empty() {
        true => {
            let rootfs = inside(root, Path::new(""), libc::O_DIRECTORY).map_err(failed)?;
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&rootfs));
            let user = resolve_user(Path::new(&path), user, &[]).map_err(runtime_error)?;
            Some((user.uid, user.gid))
        }
        false => None,
    };
    Ok(Placement {
        directory,
        keep_kind: request.keep_kind,
        owner,
        owners: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_root() {
        assert_eq!(clean("/a/../../b/./c/").unwrap(), Path::new("b/c"));
        assert_eq!(clean("/").unwrap(), Path::new(""));
        assert!(clean("").is_err());
    }
}
