//! Where random bytes come from: the operating system, or a seed in simulations.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// A source of random bytes.
pub trait Chance: Send + Sync {
    /// Fills `out`. A source that cannot is a reason to stop the program, not to go on.
    fn fill(&self, out: &mut [u8]);
}

/// The operating system's randomness, by way of the crypto library.
#[derive(Default)]
pub struct System(SystemRandom);

impl Chance for System {
    fn fill(&self, out: &mut [u8]) {
        if self.0.fill(out).is_err() {
            // Without chance every secret would be guessable: nothing may go on.
            tracing::error!("the operating system gives no random bytes");
            std::process::abort();
        }
    }
}

/// `N` random bytes.
pub fn bytes<const N: usize>(chance: &dyn Chance) -> [u8; N] {
    let mut out = [0; N];
    chance.fill(&mut out);
    out
}
