//! A live code as whoever shows it knows it: names, keys, and the server's clock.

use crate::Fault;
use countersign_wire::b64;
use countersign_wire::frame::{Frame, index_at};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// What frames are made of. It has no `Debug`: the channel key must not print.
pub struct Live {
    /// The lookup name inside frames.
    pub handle: [u8; 16],
    /// The channel key.
    pub ck: [u8; 32],
    /// A moment of this machine's monotonic clock and the server's time since the beginning then.
    heard: Mutex<(Instant, i64)>,
}

impl Live {
    pub(crate) fn new(handle: &str, ck: &str, t_ms: i64) -> Result<Live, Fault> {
        let strange = |_| Fault::Unreachable("the server opened something strange".into());
        Ok(Live {
            handle: b64::decode_array(handle).map_err(strange)?,
            ck: b64::decode_array(ck).map_err(strange)?,
            heard: Mutex::new((crate::machine::tick(), t_ms)),
        })
    }

    /// Sets the clock by what the server just said.
    pub fn hear(&self, t_ms: i64) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = (crate::machine::tick(), t_ms);
    }

    /// Milliseconds since the opening, by the server's clock.
    pub fn age_ms(&self) -> i64 {
        let (at, t_ms) = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        t_ms.saturating_add(i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// The frame of this moment.
    pub fn frame(&self) -> Frame {
        self.frame_from_now(0)
    }

    /// The frame `steps` later (or earlier, if negative).
    pub fn frame_from_now(&self, steps: i64) -> Frame {
        let index = index_at(self.age_ms()).saturating_add(steps).max(0);
        Frame::make(&self.ck, self.handle, u16::try_from(index).unwrap_or(u16::MAX))
    }
}
