use std::fs;
use std::io::{self, Write};
use std::path::Path;

use oci_spec::runtime::LinuxSeccomp;
use sha2::{Digest, Sha256};

use super::{Filter, Instruction, compile};
use crate::RuntimeError;

// Raised whenever the compiler gives another program for the same policy.
const COMPILER_VERSION: u8 = 1;

/// The filter of a policy: from the directory of compiled filters if it is there, else compiled and put there.
pub fn load_filter(policy: &LinuxSeccomp, cache_dir: &Path) -> Result<Filter, RuntimeError> {
    let json = serde_json::to_vec(policy).map_err(|err| RuntimeError::Invalid(err.to_string()))?;
    let mut hash = Sha256::new();
    hash.update([COMPILER_VERSION]);
    hash.update(&json);
    let name = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    let path = cache_dir.join(format!("{name}.bpf"));
    if let Ok(filter) = read_filter(&path) {
        return Ok(filter);
    }
    let filter = compile(policy)?;
    fs::create_dir_all(cache_dir).map_err(|err| RuntimeError::io("create", cache_dir, err))?;
    store_filter(&filter, &path).map_err(|err| RuntimeError::io("write seccomp filter", &path, err))?;
    Ok(filter)
}

/// Writes a compiled filter so that a reader sees all of it or nothing.
pub fn store_filter(filter: &Filter, path: &Path) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(4 + filter.program.len() * 8);
    bytes.extend(filter.flags.to_le_bytes());
    for step in &filter.program {
        bytes.extend(step.code.to_le_bytes());
        bytes.extend([step.jump_true, step.jump_false]);
        bytes.extend(step.operand.to_le_bytes());
    }
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::File::create(&temporary)?.write_all(&bytes)?;
    fs::rename(&temporary, path)
}

fn read_filter(path: &Path) -> io::Result<Filter> {
    let bytes = fs::read(path)?;
    if bytes.len() < 12 || bytes.len() % 8 != 4 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let word = |chunk: &[u8]| u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
    let program = bytes[4..]
        .chunks_exact(8)
        .map(|chunk| Instruction {
            code: u16::from_le_bytes([chunk[0], chunk[1]]),
            jump_true: chunk[2],
            jump_false: chunk[3],
            operand: word(&chunk[4..]),
        })
        .collect();
    Ok(Filter {
        program,
        flags: word(&bytes),
    })
}
