//! Chance that can be sown again.

use countersign_server::chance::Chance;
use std::sync::{Arc, Mutex};

/// A small generator (splitmix64), shared by the server and its world.
#[derive(Clone)]
pub struct Seeded(Arc<Mutex<u64>>);

impl Seeded {
    /// From a seed.
    pub fn new(seed: u64) -> Seeded {
        Seeded(Arc::new(Mutex::new(seed)))
    }
    /// Another one that follows from this one.
    pub fn child(&self) -> Seeded {
        Seeded::new(self.next())
    }
    /// The next number.
    pub fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// Below `n`.
    pub fn below(&self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n.max(1)).unwrap()).unwrap()
    }
    /// True `percent` times in a hundred.
    pub fn percent(&self, percent: usize) -> bool {
        self.below(100) < percent
    }
    /// A name that is used once.
    pub fn name(&self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }
}

impl Chance for Seeded {
    fn fill(&self, out: &mut [u8]) {
        for part in out.chunks_mut(8) {
            let bytes = self.next().to_be_bytes();
            part.copy_from_slice(&bytes[..part.len()]);
        }
    }
}
