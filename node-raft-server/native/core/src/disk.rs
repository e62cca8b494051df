//! What a node does when its disk is full, or nearly.

use raft::{Ready, StateRole};

use crate::error::Error;
use crate::node::Node;

/// The log engine allocates this much at a time, and a little for a new file.
const ROOM: u64 = 3 << 20;

impl Node {
    /// With a disk about to be full, the node hands the lead to one that can write.
    pub(crate) fn look_at_disk(&mut self) {
        let free = free_bytes(&self.options.dir);
        self.disk_full = free.is_some_and(|free| free < self.options.min_free_bytes);
        if !self.disk_full
            || self.raw.raft.state != StateRole::Leader
            || self.raw.raft.lead_transferee.is_some()
        {
            return;
        }
        let own = self.options.id;
        let voters = self.status_voters();
        let best = self
            .raw
            .raft
            .prs()
            .iter()
            .filter(|(id, _)| **id != own && voters.contains(id) && self.active(**id))
            .max_by_key(|(_, p)| p.matched)
            .map(|(id, _)| *id);
        if let Some(best) = best {
            self.raw.transfer_leader(best);
        }
    }

    /// Whether there is room for what could not be written: each try costs the log engine a file.
    pub(crate) fn has_room(&self, ready: &Ready) -> bool {
        let bytes: usize =
            ready.entries().iter().map(|e| e.data.len()).sum::<usize>() + ready.snapshot().data.len();
        free_bytes(&self.options.dir).is_none_or(|free| free > 2 * bytes as u64 + ROOM)
    }

    pub(crate) fn full(&self) -> Error {
        Error::full(&self.options.dir)
    }
}

fn free_bytes(dir: &std::path::Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(dir.as_os_str().as_bytes()).ok()?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends in a zero byte and the result is read only when the call filled it.
    let stat = unsafe { (libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) == 0).then(|| stat.assume_init()) }?;
    Some(stat.f_bavail * stat.f_frsize)
}
