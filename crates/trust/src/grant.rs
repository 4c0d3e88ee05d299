//! What a client was given in one exchange: every access token names it, and where the client is
//! registered so, a refresh token renews it (RFC 6749 §6, RFC 9700 §4.14).
//!
//! 1. A grant belongs to one session and one client and ends with either.
//! 2. Its refresh token is new after each use. Only the newest is good.
//! 3. One that was good once and comes again ends the grant: somebody holds a copy.
//! 4. Except at once: whoever asks again within [`limits::REFRESH_RETRY_S`], while nobody used the
//!    successor, lost the answer and gets it again (docs/decisions/0010-refresh-tokens.md).

use crate::client::Client;
use crate::limits;
use countersign_wire::refresh::RefreshToken;
use countersign_wire::secret::same;
use countersign_wire::{ClientId, GrantId, SessionId, Thumbprint, Time, TxnId};
use serde::{Deserialize, Serialize};

/// A grant with the version of its row.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// Row version.
    pub version: i64,
    /// Its session.
    pub session: SessionId,
    /// Its client.
    pub client: ClientId,
    /// Whether it was ended, and why.
    pub ended: Option<String>,
    /// Ends at the latest.
    pub until: Time,
    /// Access tokens made before this are worth nothing.
    pub access_after: Time,
    /// Which refresh token is good; `None` where there is none.
    pub renewal: Option<Renewal>,
    /// What never changes.
    pub facts: GrantFacts,
}

/// What is fixed when a grant begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantFacts {
    /// Transaction of the log.
    pub txn: TxnId,
    /// Scopes: a renewal may ask for fewer.
    pub scopes: Vec<String>,
    /// Authorization details that were approved (RFC 9396 §7).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<serde_json::Value>,
    /// Classes that were asked for: a renewal must still satisfy them.
    pub acr_values: Vec<String>,
    /// The only audience of its tokens, where one was asked for (RFC 8707).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The key that its first tokens were bound to.
    pub jkt: Option<Thumbprint>,
}

/// Digests of the refresh tokens that mean something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// base64url H of what all of them share.
    pub family: String,
    /// base64url H of the one that is good.
    pub current: String,
    /// base64url H of the one before it.
    pub former: Option<String>,
    /// When the last one was made.
    pub at: Time,
    /// Serial of the server key that derived it.
    pub k: i64,
}

/// What a refresh token turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The good one.
    Good,
    /// The one before it, again, in time: its successor, derived with the key of this serial, is
    /// told again.
    Again {
        /// Serial of the server key.
        k: i64,
    },
    /// It was good once.
    Used,
    /// It never was.
    Unknown,
}

impl Renewal {
    /// Judges a refresh token.
    pub fn judge(&self, token: &RefreshToken, now: Time) -> Shown {
        let is = |a: &str, b: &str| same(a.as_bytes(), b.as_bytes());
        if !is(&self.family, &token.family_hash()) {
            return Shown::Unknown;
        }
        let own = token.own_hash();
        if is(&self.current, &own) {
            return Shown::Good;
        }
        let before = self.former.as_deref().is_some_and(|f| is(f, &own));
        if before && now < self.at.plus_s(limits::REFRESH_RETRY_S) {
            return Shown::Again { k: self.k };
        }
        Shown::Used
    }
}

impl Grant {
    /// Whether it lives at `now`, as far as it can say itself.
    pub fn is_live(&self, now: Time) -> bool {
        self.ended.is_none() && now < self.until
    }

    /// Whether an access token of this grant that was made at `made` still counts.
    pub fn counts(&self, made: Time, now: Time) -> bool {
        self.is_live(now) && made >= self.access_after
    }

    /// Whether a renewal by `key` fits. A public client has nothing but its key to be known by
    /// (RFC 9449 §5); others may change theirs unless registered otherwise. A grant that began with
    /// a key never goes on without one.
    pub fn fits(&self, client: &Client, key: Option<&Thumbprint>) -> bool {
        match (&self.facts.jkt, key) {
            (Some(bound), Some(key)) => bound == key || !client.binds_refresh(),
            (Some(_), None) => false,
            (None, _) => !client.binds_refresh(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const T: Time = Time(1_800_000_000_000_000);
    const K: &[u8] = &[9; 32];

    fn first() -> RefreshToken {
        RefreshToken::first(GrantId::new(T, [1; 10]), [2; 32], [3; 32])
    }
    fn renewal(good: &RefreshToken, before: Option<&RefreshToken>) -> Renewal {
        let former = before.map(RefreshToken::own_hash);
        Renewal { family: good.family_hash(), current: good.own_hash(), former, at: T, k: 4 }
    }

    #[test]
    fn only_the_newest_is_good_and_the_one_before_it_for_a_moment() {
        let (a, b) = (first(), first().next(K));
        let (c, stranger) = (b.next(K), RefreshToken::first(a.grant().clone(), [8; 32], [3; 32]));
        let once = renewal(&b, Some(&a));
        let end = T.plus_s(limits::REFRESH_RETRY_S);
        for (token, at, want) in [
            (&b, T, Shown::Good),
            (&b, T.plus_s(86_400), Shown::Good),
            (&a, T, Shown::Again { k: 4 }),
            (&a, Time(end.0 - 1), Shown::Again { k: 4 }),
            (&a, end, Shown::Used),
            // Never made, but by somebody who holds a token of the family.
            (&c, T, Shown::Used),
            (&stranger, T, Shown::Unknown),
        ] {
            assert_eq!(once.judge(token, at), want);
        }
        // As soon as the successor was used, the one before the last is a replay.
        assert_eq!(renewal(&c, Some(&b)).judge(&a, T), Shown::Used);
        assert_eq!(renewal(&a, None).judge(&b, T), Shown::Used);
    }

    fn grant(jkt: Option<&str>) -> Grant {
        Grant {
            id: GrantId::new(T, [1; 10]),
            version: 1,
            session: SessionId::new(T, [1; 10]),
            client: "till".parse().unwrap(),
            ended: None,
            until: T.plus_s(60),
            access_after: T,
            renewal: None,
            facts: GrantFacts {
                txn: TxnId::new(T, [1; 10]),
                scopes: vec![],
                details: vec![],
                acr_values: vec![],
                resource: None,
                jkt: jkt.map(|t| t.repeat(43).parse().unwrap()),
            },
        }
    }

    #[test]
    fn a_public_client_renews_with_its_key_alone_and_nobody_goes_on_without_one() {
        let client = |more: serde_json::Value| -> Client {
            let mut value = json!({"id": "till", "name": "Till", "redirect_uris": []});
            value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value(value).unwrap()
        };
        let (public, secret) = (client(json!({})), client(json!({"auth": "client_secret_basic"})));
        let bound = client(json!({"auth": "client_secret_basic", "refresh_bound": true}));
        let (a, b): (Thumbprint, Thumbprint) = ("a".repeat(43).parse().unwrap(), "b".repeat(43).parse().unwrap());
        for (of, key, by, fits) in [
            (Some("a"), Some(&a), &public, true),
            (Some("a"), Some(&b), &public, false),
            (Some("a"), None, &public, false),
            (None, None, &public, false),
            (None, Some(&a), &public, false),
            (Some("a"), Some(&b), &secret, true),
            (Some("a"), None, &secret, false),
            (None, None, &secret, true),
            (Some("a"), Some(&a), &bound, true),
            (Some("a"), Some(&b), &bound, false),
            (None, None, &bound, false),
        ] {
            assert_eq!(grant(of).fits(by, key), fits, "{of:?} {key:?}");
        }
    }

    #[test]
    fn what_ended_or_was_given_back_does_not_count() {
        let g = grant(None);
        assert!(g.counts(T, T) && !g.counts(Time(T.0 - 1), T) && !g.counts(T, g.until));
        assert!(!Grant { ended: Some("x".into()), ..g }.counts(T, T));
    }
}
