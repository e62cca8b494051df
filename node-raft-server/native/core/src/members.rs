//! Who belongs to the group: ids and addresses, and the ids that left for good.

use std::collections::BTreeMap;

/// How many of the ids that left are remembered.
const REMOVED_KEPT: usize = 1024;

/// A node of the group and where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub id: u64,
    pub address: String,
}

/// The address book, replicated beside the ConfState.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    addresses: BTreeMap<u64, String>,
    removed: Vec<u64>,
}

impl Members {
    /// The book with these peers in it.
    pub fn of(peers: &[Peer]) -> Self {
        let mut members = Members::default();
        peers.iter().for_each(|p| members.put(p));
        members
    }

    /// Adds a peer, or changes its address.
    pub fn put(&mut self, peer: &Peer) {
        self.addresses.insert(peer.id, peer.address.clone());
        self.removed.retain(|id| *id != peer.id);
    }

    /// Takes a peer out.
    pub fn remove(&mut self, id: u64) {
        if self.addresses.remove(&id).is_some() {
            self.removed.push(id);
            if self.removed.len() > REMOVED_KEPT {
                self.removed.remove(0);
            }
        }
    }

    /// The peer's address; none if it is unknown.
    pub fn address(&self, id: u64) -> Option<&str> {
        self.addresses.get(&id).map(String::as_str)
    }

    /// Whether that id was a member once and is none any more.
    pub fn was_removed(&self, id: u64) -> bool {
        self.removed.contains(&id)
    }

    /// All peers, by id.
    pub fn peers(&self) -> Vec<Peer> {
        self.addresses
            .iter()
            .map(|(id, address)| Peer {
                id: *id,
                address: address.clone(),
            })
            .collect()
    }

    /// Bytes for a file or a message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = encode_peers(&self.peers());
        put_u32(&mut out, self.removed.len());
        for id in &self.removed {
            out.extend_from_slice(&id.to_le_bytes());
        }
        out
    }

    /// What `encode` wrote; none if the bytes are not that.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let peers = take_peers(&mut bytes)?;
        let mut members = Members::of(&peers);
        for _ in 0..take_u32(&mut bytes)? {
            members.removed.push(take_u64(&mut bytes)?);
        }
        bytes.is_empty().then_some(members)
    }
}

/// Peers as bytes: the context of a membership change.
pub fn encode_peers(peers: &[Peer]) -> Vec<u8> {
    let mut out = Vec::new();
    put_u32(&mut out, peers.len());
    for peer in peers {
        out.extend_from_slice(&peer.id.to_le_bytes());
        put_u32(&mut out, peer.address.len());
        out.extend_from_slice(peer.address.as_bytes());
    }
    out
}

/// What `encode_peers` wrote; empty bytes are no peers.
pub fn decode_peers(mut bytes: &[u8]) -> Option<Vec<Peer>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let peers = take_peers(&mut bytes)?;
    bytes.is_empty().then_some(peers)
}

fn take_peers(bytes: &mut &[u8]) -> Option<Vec<Peer>> {
    let count = take_u32(bytes)?;
    let mut peers = Vec::new();
    for _ in 0..count {
        let id = take_u64(bytes)?;
        let len = take_u32(bytes)? as usize;
        let text = bytes.get(..len)?;
        *bytes = &bytes[len..];
        peers.push(Peer {
            id,
            address: String::from_utf8(text.to_vec()).ok()?,
        });
    }
    Some(peers)
}

fn put_u32(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&(value as u32).to_le_bytes());
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (head, rest) = bytes.split_at_checked(4)?;
    *bytes = rest;
    Some(u32::from_le_bytes(head.try_into().ok()?))
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (head, rest) = bytes.split_at_checked(8)?;
    *bytes = rest;
    Some(u64::from_le_bytes(head.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_encoding() {
        let mut members = Members::of(&[
            Peer {
                id: 1,
                address: "10.0.0.1:2377".into(),
            },
            Peer {
                id: 9,
                address: "[::1]:2377".into(),
            },
        ]);
        members.remove(1);
        assert_eq!(Members::decode(&members.encode()), Some(members.clone()));
        assert!(members.was_removed(1) && !members.was_removed(9));
        assert_eq!(Members::decode(&members.encode()[1..]), None);
    }
}
