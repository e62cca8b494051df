//! /etc/hostname, /etc/hosts and /etc/resolv.conf of a container: files of ours, bound over the image's.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::record::ContainerDir;
use crate::error::{EngineError, Result};
use crate::proto::{Dns, Endpoint};

/// The resolver that answers in each sandbox on user-defined networks.
const EMBEDDED: &str = "127.0.0.11";
const FALLBACK: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

/// Who answers names in the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// The host's resolvers, as on the default bridge.
    Host,
    /// The engine's own, which knows the names of the container's networks.
    Embedded,
    /// The host's file as it is.
    Same,
}

/// What the three files say.
pub struct EtcFiles<'a> {
    pub hostname: &'a str,
    pub domainname: &'a str,
    pub endpoints: &'a [Endpoint],
    pub extra_hosts: &'a [String],
    /// What `host-gateway` stands for in `extra_hosts`.
    pub host_gateway: &'a str,
    pub dns: Option<&'a Dns>,
    pub resolver: Resolver,
    /// The container shares the host's network: its hosts file begins with the host's.
    pub host_network: bool,
}

impl EtcFiles<'_> {
    /// Writes the files into the container's folder, in place: a running container has them bound.
    pub fn write(&self, dir: &ContainerDir) -> Result<()> {
        put(&dir.file("hostname"), &format!("{}\n", self.hostname))?;
        put(&dir.file("hosts"), &self.hosts())?;
        put(&dir.file("resolv.conf"), &self.resolv_conf(&host_resolv_conf()))
    }

    fn hosts(&self) -> String {
        let mut text = match self.host_network {
            true => fs::read_to_string("/etc/hosts").unwrap_or_default(),
            false => {
                "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
                      ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
                    .to_owned()
            }
        };
        if !text.ends_with('\n') && !text.is_empty() {
            text.push('\n');
        }
        for extra in self.extra_hosts {
            let Some((name, address)) = extra.split_once([':', '=']) else {
                continue;
            };
            let address = if address == "host-gateway" {
                self.host_gateway
            } else {
                address
            };
            let address = address.trim_start_matches('[').trim_end_matches(']');
            let _ = writeln!(text, "{address}\t{name}");
        }
        let mut names = self.hostname.to_owned();
        if !self.domainname.is_empty() {
            names = format!("{names}.{}", self.domainname);
        }
        // A full name may stand in the host's name alone.
        if let Some((host, _)) = names.clone().split_once('.') {
            let _ = write!(names, " {host}");
        }
        for endpoint in self.endpoints.iter().filter(|e| !e.address.is_empty()) {
            let _ = writeln!(text, "{}\t{names}", endpoint.address);
        }
        text
    }

    fn resolv_conf(&self, host: &str) -> String {
        let dns = self.dns.cloned().unwrap_or_default();
        if self.resolver == Resolver::Same && dns == Dns::default() {
            return host.to_owned();
        }
        let words = |keyword: &str| -> Vec<String> {
            host.lines()
                .filter_map(|line| line.trim().strip_prefix(keyword))
                .filter(|rest| rest.starts_with([' ', '\t']))
                .flat_map(|rest| rest.split_whitespace().map(str::to_owned))
                .collect()
        };
        let or = |own: Vec<String>, host: Vec<String>| if own.is_empty() { host } else { own };
        let servers = match self.resolver {
            Resolver::Embedded => vec![EMBEDDED.to_owned()],
            Resolver::Host | Resolver::Same => {
                // The host's loopback is not the container's.
                let usable =
                    |server: &String| self.host_network || !(server.starts_with("127.") || server == "::1");
                let servers: Vec<_> = or(dns.servers, words("nameserver"))
                    .into_iter()
                    .filter(usable)
                    .collect();
                or(servers, FALLBACK.map(str::to_owned).to_vec())
            }
        };
        let mut text = String::from("# Written by Creel for this container.\n");
        for server in servers {
            let _ = writeln!(text, "nameserver {server}");
        }
        let search = or(dns.search, words("search"));
        if !search.is_empty() && search != ["."] {
            let _ = writeln!(text, "search {}", search.join(" "));
        }
        let mut options = or(dns.options, words("options"));
        if self.resolver == Resolver::Embedded && !options.iter().any(|o| o.starts_with("ndots:")) {
            options.push("ndots:0".into());
        }
        if !options.is_empty() {
            let _ = writeln!(text, "options {}", options.join(" "));
        }
        text
    }
}

fn host_resolv_conf() -> String {
    fs::read_to_string("/etc/resolv.conf").unwrap_or_default()
}

fn put(path: &Path, text: &str) -> Result<()> {
    let failed = |e| EngineError::io(format_args!("write {}", path.display()), e);
    fs::write(path, text).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files<'a>(dns: Option<&'a Dns>, resolver: Resolver) -> EtcFiles<'a> {
        EtcFiles {
            hostname: "web",
            domainname: "example.org",
            endpoints: &[],
            extra_hosts: &[],
            host_gateway: "172.17.0.1",
            dns,
            resolver,
            host_network: false,
        }
    }

    #[test]
    fn resolvers_by_network() {
        let host = "nameserver 127.0.0.53\nnameserver 10.0.0.2\nsearch corp lan\noptions edns0\n";
        let text = files(None, Resolver::Host).resolv_conf(host);
        assert!(
            text.contains("nameserver 10.0.0.2\nsearch corp lan\noptions edns0\n") && !text.contains("127.")
        );
        let text = files(None, Resolver::Embedded).resolv_conf(host);
        assert!(text.contains("nameserver 127.0.0.11\n") && text.contains("options edns0 ndots:0\n"));
        let dns = Dns {
            servers: vec!["9.9.9.9".into()],
            search: vec![".".into()],
            options: vec![],
        };
        let text = files(Some(&dns), Resolver::Host).resolv_conf(host);
        assert!(text.contains("nameserver 9.9.9.9\n") && !text.contains("search"));
        assert!(
            files(None, Resolver::Host)
                .resolv_conf("nameserver 127.0.0.53\n")
                .contains("8.8.8.8")
        );
    }

    #[test]
    fn hosts_name_the_container_itself() {
        let endpoint = Endpoint {
            address: "172.17.0.2".into(),
            ..Endpoint::default()
        };
        let extra = [
            "db:10.0.0.9".to_owned(),
            "host.docker.internal:host-gateway".to_owned(),
        ];
        let mut files = files(None, Resolver::Host);
        let endpoints = [endpoint];
        files.endpoints = &endpoints;
        files.extra_hosts = &extra;
        let text = files.hosts();
        assert!(
            text.ends_with(
                "10.0.0.9\tdb\n172.17.0.1\thost.docker.internal\n172.17.0.2\tweb.example.org web\n"
            )
        );
    }
}
