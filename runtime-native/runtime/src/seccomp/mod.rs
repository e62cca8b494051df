//! The seccomp policy of a container: a profile in Docker's JSON format, resolved for the capabilities the container
//! has, compiled once to BPF and kept by its digest.

mod arch;
mod cache;
mod codegen;
mod compile;
mod profile;
#[cfg(test)]
mod tests;

pub use arch::ARCHITECTURES;
pub use cache::{load_filter, store_filter};
pub use compile::compile;
pub use profile::{DEFAULT_PROFILE, Profile};

use std::io;

/// A compiled filter: the program and the flags it is loaded with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The BPF program as the kernel takes it: code, jump if true, jump if false, operand.
    pub program: Vec<Instruction>,
    /// Flags of seccomp(2).
    pub flags: u32,
}

/// One BPF instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip if the comparison holds.
    pub jump_true: u8,
    /// Instructions to skip if it does not.
    pub jump_false: u8,
    /// Operand.
    pub operand: u32,
}

impl Filter {
    /// Loads the filter into the calling thread. Without no_new_privileges this needs CAP_SYS_ADMIN.
    pub fn load(&self) -> io::Result<()> {
        let program = libc::sock_fprog {
            len: self.program.len() as u16,
            filter: self.program.as_ptr() as *mut libc::sock_filter,
        };
        const SECCOMP_SET_MODE_FILTER: libc::c_long = 1;
        // SAFETY: the program outlives the call, and Instruction has the layout of sock_filter.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                SECCOMP_SET_MODE_FILTER,
                self.flags as libc::c_long,
                &program,
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}
