//! Random balancing in nf_tables: key → chain for n targets → (slot, key) → target.

use crate::nft::{Batch, Data, Element, Expr, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// The names of the pieces, and how a chain picks its target.
pub(crate) struct Shape {
    /// The verdict map, by key.
    pub(crate) keys: &'static str,
    /// The map from (slot, key) to a target.
    pub(crate) slots: &'static str,
    /// What the chain that balances over `n` targets does.
    pub(crate) pick: fn(n: usize) -> Vec<Expr>,
    /// A set of all keys, those without targets too. (The verdict map cannot serve as one: whatever chain
    /// looks into it must be one that may do what the verdicts lead to.)
    pub(crate) known: Option<&'static str>,
}

/// What the kernel has been told, so that the next change says only what differs.
#[derive(Default)]
pub(crate) struct Slots {
    targets: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    chains: BTreeSet<usize>,
}

impl Slots {
    /// Writes the change of one key into a batch; no targets at all means that the key goes away.
    pub(crate) fn change(
        &mut self,
        batch: &mut Batch,
        shape: &Shape,
        key: &[u8],
        targets: Option<Vec<Vec<u8>>>,
    ) {
        if self.targets.get(key) == targets.as_ref() {
            return;
        }
        let old = self.targets.remove(key);
        if let (Some(known), None, Some(_)) = (shape.known, &old, &targets) {
            batch.add(known, &[element(key, Data::None)]);
        }
        if let Some(old) = old {
            if !old.is_empty() {
                batch.delete(shape.keys, &[element(key, Data::None)]);
            }
            if let (Some(known), None) = (shape.known, &targets) {
                batch.delete(known, &[element(key, Data::None)]);
            }
            batch.delete(shape.slots, &slots(key, &old));
        }
        let Some(new) = targets else { return };
        if !new.is_empty() && self.chains.insert(new.len()) {
            let chain = chain_of(new.len());
            batch.chain(&chain, None);
            batch.rule(&chain, (shape.pick)(new.len()));
        }
        batch.add(shape.slots, &slots(key, &new));
        if !new.is_empty() {
            let verdict = Data::Verdict(Verdict::Goto(chain_of(new.len())));
            batch.add(shape.keys, &[element(key, verdict)]);
        }
        self.targets.insert(key.to_vec(), new);
    }

    /// The keys the kernel knows.
    pub(crate) fn keys(&self) -> Vec<Vec<u8>> {
        self.targets.keys().cloned().collect()
    }
}

fn chain_of(n: usize) -> String {
    format!("n{n}")
}

fn element(key: &[u8], data: Data) -> Element {
    Element {
        key: key.to_vec(),
        data,
    }
}

fn slots(key: &[u8], targets: &[Vec<u8>]) -> Vec<Element> {
    let slot = |(n, target): (usize, &Vec<u8>)| {
        let mut slot = (n as u32).to_ne_bytes().to_vec();
        slot.extend_from_slice(key);
        Element {
            key: slot,
            data: Data::Value(target.clone()),
        }
    };
    targets.iter().enumerate().map(slot).collect()
}
