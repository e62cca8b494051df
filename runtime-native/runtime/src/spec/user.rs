use std::path::Path;

use super::User;
use crate::RuntimeError;
use crate::rootfs::read_in_root;

const LIMIT: u64 = 1 << 20;

/// Resolves Docker's `USER[:GROUP]` against the image's own /etc/passwd and /etc/group. `groups` are the names or
/// numbers of `--group-add`.
pub fn resolve_user(rootfs: &Path, user: &str, groups: &[String]) -> Result<User, RuntimeError> {
    let read = |path: &str| read_in_root(rootfs, Path::new(path), LIMIT).unwrap_or_default();
    let (passwd, group) = (read("/etc/passwd"), read("/etc/group"));
    resolve(&passwd, &group, user, groups)
}

fn resolve(passwd: &str, group: &str, user: &str, groups: &[String]) -> Result<User, RuntimeError> {
    let (user_part, group_part) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let user_part = if user_part.is_empty() { "0" } else { user_part };
    let entry = fields(passwd).find(|entry| {
        entry.len() >= 4 && (entry[0] == user_part || (entry[2] == user_part && number(user_part).is_some()))
    });
    let (uid, default_gid, name) = match entry {
        Some(entry) => (
            number(entry[2]).ok_or_else(|| broken("/etc/passwd", entry[0]))?,
            number(entry[3]).ok_or_else(|| broken("/etc/passwd", entry[0]))?,
            entry[0],
        ),
        None => match number(user_part) {
            Some(uid) => (uid, 0, ""),
            None if is_number(user_part) => return Err(out_of_range()),
            None => {
                return Err(RuntimeError::Invalid(format!(
                    "unable to find user {user_part}: no matching entries in passwd file"
                )));
            }
        },
    };
    let mut additional_gids = Vec::new();
    let gid = match group_part {
        Some(asked) => find_group(group, asked)?,
        None => {
            for entry in fields(group).filter(|entry| entry.len() >= 4) {
                if !name.is_empty() && entry[3].split(',').any(|member| member == name) {
                    additional_gids.extend(number(entry[2]));
                }
            }
            default_gid
        }
    };
    // As Docker: whoever leaves the primary group cannot come back by another way.
    additional_gids.push(gid);
    for asked in groups {
        additional_gids.push(find_group(group, asked)?);
    }
    additional_gids.sort_unstable();
    additional_gids.dedup();
    Ok(User {
        uid,
        gid,
        additional_gids,
    })
}

fn find_group(group: &str, asked: &str) -> Result<u32, RuntimeError> {
    if let Some(entry) = fields(group).find(|entry| entry.len() >= 3 && entry[0] == asked) {
        return number(entry[2]).ok_or_else(|| broken("/etc/group", asked));
    }
    if is_number(asked) {
        return number(asked).ok_or_else(out_of_range);
    }
    Err(RuntimeError::Invalid(format!(
        "unable to find group {asked}: no matching entries in group file"
    )))
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn out_of_range() -> RuntimeError {
    RuntimeError::Invalid(format!("uids and gids must be in range 0-{}", i32::MAX))
}

fn fields(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.trim().split(':').collect())
}

fn number(text: &str) -> Option<u32> {
    text.parse::<i32>()
        .ok()
        .and_then(|number| u32::try_from(number).ok())
}

fn broken(file: &str, name: &str) -> RuntimeError {
    RuntimeError::Invalid(format!(
        "the entry {name:?} in the image's {file} has no valid number"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n";
    const GROUP: &str = "root:x:0:\napp:x:1001:\nvideo:x:44:app,other\nstaff:x:50:other\n";

    #[test]
    fn resolves_as_docker_does() {
        let user = |uid, gid, additional: &[u32]| User {
            uid,
            gid,
            additional_gids: additional.to_vec(),
        };
        for (text, expected) in [
            ("", user(0, 0, &[0])),
            ("app", user(1000, 1001, &[44, 1001])),
            ("1000", user(1000, 1001, &[44, 1001])),
            ("app:staff", user(1000, 50, &[50])),
            ("7", user(7, 0, &[0])),
            ("7:8", user(7, 8, &[8])),
        ] {
            assert_eq!(resolve(PASSWD, GROUP, text, &[]).unwrap(), expected, "{text}");
        }
        assert_eq!(
            resolve(PASSWD, GROUP, "7", &["staff".into(), "9".into()])
                .unwrap()
                .additional_gids,
            [0, 9, 50]
        );
        assert!(
            resolve(PASSWD, GROUP, "nobody", &[])
                .unwrap_err()
                .to_string()
                .contains("nobody")
        );
        assert!(
            resolve(PASSWD, GROUP, "app:none", &[])
                .unwrap_err()
                .to_string()
                .contains("none")
        );
    }
}
