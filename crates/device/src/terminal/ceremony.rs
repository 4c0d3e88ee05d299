//! An open ceremony as its terminal knows it: names, keys, and the server's clock.

use crate::{Fault, Live};
use countersign_wire::frame::wait_key;
use countersign_wire::message::Opened;
use countersign_wire::{CeremonyId, b64};
use std::ops::Deref;
use std::time::Duration;

/// What the terminal holds of its ceremony. It has no `Debug`: the channel key must not print.
pub struct Ceremony {
    /// Its id.
    pub cid: CeremonyId,
    /// The code for typing, `WDJB-MJHT`.
    pub user_code: String,
    /// What stands in for the cookie where there is none.
    pub collector: Option<String>,
    /// What its code is made of.
    pub live: Live,
    /// How long it lives unscanned.
    pub life: Duration,
}

impl Deref for Ceremony {
    type Target = Live;
    fn deref(&self) -> &Live {
        &self.live
    }
}

impl Ceremony {
    /// From the server's reply.
    pub fn new(opened: &Opened) -> Result<Ceremony, Fault> {
        let strange = |_| Fault::Unreachable("the server opened something strange".into());
        Ok(Ceremony {
            cid: opened.cid.parse().map_err(strange)?,
            user_code: opened.user_code.clone(),
            collector: opened.collector.clone(),
            live: Live::new(&opened.handle, &opened.ck, opened.t_ms)?,
            life: Duration::from_millis((opened.t_ms.max(0) + opened.left_ms.max(0)).unsigned_abs()),
        })
    }

    /// What the code of this moment says.
    pub fn link(&self, origin: &str) -> String {
        format!("{origin}/q#{}", self.frame().text())
    }

    /// The wait key, base64url.
    pub fn wait_key(&self) -> String {
        b64::encode(&wait_key(&self.ck))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_wire::frame::{Frame, Grade, judge};

    #[test]
    fn frames_follow_the_servers_clock() {
        let opened = Opened {
            cid: CeremonyId::new(countersign_wire::Time(0), [1; 10]).to_string(),
            handle: b64::encode(&[7; 16]),
            ck: b64::encode(&[8; 32]),
            user_code: "WDJB-MJHT".into(),
            t_ms: 0,
            left_ms: 120_000,
            collector: None,
        };
        let ceremony = Ceremony::new(&opened).unwrap();
        assert_eq!(ceremony.frame().index, 0);
        ceremony.hear(31_000);
        assert_eq!(ceremony.frame().index, 10);
        assert_eq!(judge(ceremony.frame(), None, &[8; 32], 31_000), Ok(Grade::Frame));
        let pair = (ceremony.frame(), ceremony.frame_from_now(1));
        assert_eq!(judge(pair.0, Some(pair.1), &[8; 32], 31_000), Ok(Grade::Pair));
        let link = ceremony.link("https://id.example");
        assert_eq!(Frame::parse_link(&link, "https://id.example").unwrap().index, 10);
    }
}
