//! The processes of a container, as `ps` shows them, read from /proc.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;

use creel_runtime::cgroup::Cgroup;

use super::record::Status;
use crate::engine::Engine;
use crate::error::{EngineError, ErrorCode, Result};
use crate::network::blocking;
use crate::proto::{TopProcess, TopReply};

impl Engine {
    /// The processes of a running container, with the columns of `ps -ef`, or those of the host's own `ps` when other
    /// arguments are given.
    pub async fn top(&self, reference: &str, ps_args: &str) -> Result<TopReply> {
        let container = self.containers.find(reference)?;
        if !matches!(container.status(), Status::Running | Status::Paused) {
            return Err(container.not_running());
        }
        let cgroup = self.places(&container).cgroup;
        let arguments = ps_args.to_owned();
        let told = blocking(move || {
            let pids = Cgroup::new(&cgroup).pids();
            match arguments.trim() {
                "" | "-ef" => Ok(from_proc(&pids)),
                other => from_ps(&pids, other),
            }
        })
        .await?;
        self.emit_container(&container, "top", []);
        Ok(told)
    }
}

fn from_proc(pids: &BTreeSet<i32>) -> TopReply {
    let titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
        .map(str::to_owned)
        .to_vec();
    let users = user_names();
    let processes = pids.iter().filter_map(|pid| one(*pid, &users)).collect();
    TopReply { titles, processes }
}

fn one(pid: i32, users: &HashMap<u32, String>) -> Option<TopProcess> {
    let folder = format!("/proc/{pid}");
    let uid = fs::metadata(&folder).ok()?.uid();
    let stat = fs::read_to_string(format!("{folder}/stat")).ok()?;
    // The name in parentheses may hold anything, so the fields are counted from its end.
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let cpu_seconds = (number(11) + number(12)) / ticks;
    let cmdline = fs::read(format!("{folder}/cmdline")).unwrap_or_default();
    let words: Vec<_> = cmdline
        .split(|b| *b == 0)
        .filter(|w| !w.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    let command = if words.is_empty() {
        format!("[{name}]")
    } else {
        words.join(" ")
    };
    let tty = match number(4) {
        0 => "?".to_owned(),
        device => format!("pts/{}", (device & 0xff) | ((device >> 12) & 0xfff00)),
    };
    Some(TopProcess {
        fields: vec![
            users.get(&uid).cloned().unwrap_or_else(|| uid.to_string()),
            pid.to_string(),
            number(1).to_string(),
            "0".into(),
            start_time(number(19), ticks),
            tty,
            format!(
                "{:02}:{:02}:{:02}",
                cpu_seconds / 3600,
                cpu_seconds / 60 % 60,
                cpu_seconds % 60
            ),
            command,
        ],
    })
}

fn start_time(start_ticks: u64, ticks: u64) -> String {
    let booted = fs::read_to_string("/proc/stat").ok().and_then(|stat| {
        stat.lines()
            .find_map(|line| line.strip_prefix("btime "))
            .and_then(|t| t.trim().parse::<i64>().ok())
    });
    let seconds = booted.unwrap_or(0) + (start_ticks / ticks) as i64;
    let text = crate::clock::rfc3339_nano(seconds * 1_000_000_000);
    text[11..16].to_owned()
}

fn user_names() -> HashMap<u32, String> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    passwd
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
        })
        .collect()
}

fn from_ps(pids: &BTreeSet<i32>, arguments: &str) -> Result<TopReply> {
    let output = std::process::Command::new("ps")
        .args(arguments.split_whitespace())
        .output()
        .map_err(|e| {
            EngineError::new(
                ErrorCode::Unsupported,
                format!("`ps {arguments}` needs the program ps: {e}"),
            )
        })?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(EngineError::invalid(format!("ps: {text}")));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let titles: Vec<String> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let column = titles
        .iter()
        .position(|t| t == "PID")
        .ok_or_else(|| EngineError::invalid("Couldn't find PID field in ps output"))?;
    let processes = lines
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let pid = words.get(column)?.parse().ok()?;
            if !pids.contains(&pid) || words.len() < titles.len() {
                return None;
            }
            let mut fields: Vec<String> = words[..titles.len() - 1]
                .iter()
                .map(|w| (*w).to_owned())
                .collect();
            fields.push(words[titles.len() - 1..].join(" "));
            Some(TopProcess { fields })
        })
        .collect();
    Ok(TopReply { titles, processes })
}
