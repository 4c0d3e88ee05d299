//! Rights without the line: slips, grants with their lists of people, chains.

use super::jose::{ISSUER, forged, signed};
use super::{Seen, key, text, tried, two};
use countersign_device::passkey::{About, flag};
use countersign_device::{Passkey, SoftwareKey};
use countersign_wire as wire;
use countersign_wire::glass::{self, Answer, Bundle, Chain, Challenge, Closed, Grant, Holder, Record, Sealed, Slip, Why};
use countersign_wire::jose::Keys;
use countersign_wire::limits::{GLASS_ASK_S, GLASS_S};
use countersign_wire::statement::Plate;
use countersign_wire::{DeviceId, b64};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// What a terminal shows and what a phone answers read back as they were written, and all that is signed is read.
pub fn glass_slip(data: &[u8], seen: &mut Seen) {
    if let Some(answer) = tried!(seen, Answer::parse(text(data))) {
        assert_eq!(Answer::parse(&answer.text()).as_ref(), Ok(&answer));
    }
    let Some(slip) = tried!(seen, Slip::parse(text(data))) else { return };
    assert_eq!(Slip::parse(&slip.text()).as_ref(), Ok(&slip));
    let Some(read) = tried!(seen, Challenge::parse(&slip.challenge)) else { return };
    assert_eq!(tried!(seen, Challenge::encode(&read)).unwrap(), slip.challenge, "every byte that is signed is read");
    assert!(tried!(seen, Challenge::encode(&Challenge { reason: String::new(), ..read })).is_none(), "without a reason");
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut jwk: Map<String, Value> = key().public().members();
        jwk.insert("kid".into(), "k".into());
        Keys::of(&json!({"keys": [jwk]}))
    })
}

/// Two parts: what a grant says, with `R` for the digest of the second, a list of people. Our key signs it.
pub fn glass_grant(data: &[u8], seen: &mut Seen) {
    tried!(seen, Sealed::open(text(data), keys()));
    let (says, roster) = two(data);
    let named = b64::encode(&wire::mac::labelled("countersign/glass/roster/1", roster));
    let says = text(says).replace("\"roster\": \"R\"", &format!("\"roster\": \"{named}\""));
    let made = signed(json!({"typ": "cs-glass-grant+jws", "kid": "k"}), says.as_bytes());
    let sealed = tried!(seen, Sealed::open(&made, keys()));
    let grant = tried!(seen, Grant::open(&made, roster, keys()));
    assert!(sealed.is_some() || grant.is_none());
    let Some((sealed, digest)) = sealed else { return };
    assert!(sealed.is_sound() && (1..=GLASS_S).contains(&(sealed.exp - sealed.iat)));
    for other in forged(&made) {
        assert!(Sealed::open(&other, keys()).is_err(), "forged");
    }
    assert!(Sealed::open(&made, &Keys::default()).is_err(), "nobody's key");
    let again = sealed.seal("k", key()).unwrap();
    assert_eq!(Sealed::open(&again, keys()).unwrap().0, sealed);
    let Some(grant) = grant else { return };
    assert_eq!((&grant.sealed, grant.digest), (&sealed, digest));
    assert_eq!(glass::roster_bytes(&grant.roster).unwrap(), (roster.to_vec(), sealed.roster), "every byte that was sealed is read");
}

/// Two phones, a terminal, and a grant for them.
struct Stand {
    terminal: SoftwareKey,
    phones: [(Holder, SoftwareKey, Passkey); 2],
    text: String,
    roster: Vec<u8>,
    grant: Grant,
}

fn stand() -> &'static Stand {
    static STAND: OnceLock<Stand> = OnceLock::new();
    STAND.get_or_init(|| {
        let terminal = SoftwareKey::generate().unwrap();
        let phone = |n: u8| {
            let about = About { id: b64::encode(&[n; 16]), rp_id: "id.example".into(), user_handle: "AAAA".into(), counter: 0, synced: false };
            let (dk, passkey) = (SoftwareKey::generate().unwrap(), Passkey { flags: flag::UP | flag::UV, key: SoftwareKey::generate().unwrap(), about });
            let id = |first: u8| format!("01931d2b-7a00-7000-8000-00000000000{}", first + n);
            let holder = Holder {
                person: id(3).parse().unwrap(),
                name: "N".into(),
                supervisor: n == 2,
                device: id(6).parse::<DeviceId>().unwrap(),
                dk: dk.public().clone(),
                credential: passkey.about.id.parse().unwrap(),
                passkey: passkey.key.public().clone(),
                backup_eligible: false,
                counter: 3,
            };
            (holder, dk, passkey)
        };
        let phones = [phone(1), phone(2)];
        let (roster, digest) = glass::roster_bytes(&[phones[0].0.clone(), phones[1].0.clone()]).unwrap();
        let sealed = Sealed {
            v: 1,
            iss: ISSUER.into(),
            rp_id: "id.example".into(),
            id: "01931d2b-7a00-7000-8000-000000000001".parse().unwrap(),
            serial: 1,
            terminal: "01931d2b-7a00-7000-8000-000000000002".parse().unwrap(),
            jkt: terminal.public().thumbprint(),
            plate: Plate { name: "Till 4".into(), place: "Market Street".into(), class: "till".into(), attested: false },
            client: "till".parse().unwrap(),
            client_name: "Till".into(),
            scopes: vec!["discount".into()],
            for_s: 600,
            uses: 2,
            roster: digest,
            iat: 1_800_000_000,
            exp: 1_800_003_600,
        };
        let text = sealed.seal("k", key()).unwrap();
        let grant = Grant::open(&text, &roster, keys()).unwrap();
        Stand { terminal, phones, text, roster, grant }
    })
}

/// Two parts: a challenge, with `G` and `P` for the digests of the grant and of the record before, and `{"begin", "end",
/// "uses"}`. Both phones answer whatever it is; what is taken keeps every limit.
pub fn glass_chain(data: &[u8], seen: &mut Seen) {
    let s = stand();
    let (asked, times) = two(data);
    let chain = Chain::new(&s.grant);
    tried!(seen, Chain::take(&mut chain.clone(), text(data)));
    let asked = text(asked).replace("\"grant\":\"G\"", &format!("\"grant\":\"{}\"", b64::encode(&s.grant.digest)));
    let asked = asked.replace("\"prev\":\"P\"", &format!("\"prev\":\"{}\"", chain.last()));
    let digest = Challenge::digest(asked.as_bytes());
    let answers = [0, 1].map(|n| {
        let (holder, dk, passkey) = &s.phones[n];
        let assertion = passkey.sign(&Challenge::for_passkey(&digest), ISSUER, 4).unwrap();
        glass::approve(&s.grant.sealed, &digest, &holder.device, assertion, dk.public(), dk).unwrap()
    });
    assert_eq!(tried!(seen, glass::answered(&answers[0], &s.grant.sealed, &digest, &s.phones[0].0, 3)), Some(4));
    assert!(tried!(seen, glass::answered(&answers[0], &s.grant.sealed, &digest, &s.phones[1].0, 3)).is_none(), "another's");
    let times: Value = serde_json::from_slice(times).unwrap_or_default();
    let at = |name: &str| times[name].as_i64().unwrap_or_default();
    let record = Record { v: 1, challenge: b64::encode(asked.as_bytes()), answers, begin: at("begin"), end: at("end") };
    let kept = glass::keep(&record, s.terminal.public(), &s.terminal).unwrap();
    let mut on = chain.clone();
    let opened = tried!(seen, Chain::take(&mut on, &kept));
    let read = Challenge::parse(asked.as_bytes());
    if let Ok(c) = &read {
        let fits = tried!(seen, Challenge::fits(c, &s.grant.sealed, &s.grant.digest)).is_some();
        let next = tried!(seen, Chain::asks(&chain, c)).is_some();
        assert!(fits || !next);
        assert!(next || opened.is_none());
    }
    let closed = Closed { v: 1, id: s.grant.sealed.id.clone(), uses: at("uses"), last: on.last(), at: 1 };
    let word = glass::close(&closed, s.terminal.public(), &s.terminal).unwrap();
    assert_eq!(tried!(seen, Chain::end(&on, &word)).is_some(), at("uses") == on.uses());
    let bundle = Bundle { grant: s.text.clone(), roster: b64::encode(&s.roster), records: vec![kept.clone()], close: Some(word) };
    let judged = tried!(seen, Bundle::judge(&bundle, keys())).unwrap();
    assert_eq!(judged.opened.len(), usize::from(opened.is_some()));
    let other = Bundle { roster: b64::encode(data), ..bundle };
    assert!(tried!(seen, Bundle::judge(&other, keys())).is_none(), "another list of people");
    let Some(o) = opened else { return };
    let (c, sealed) = (read.unwrap(), &s.grant.sealed);
    assert!(o.end <= sealed.exp && o.end - o.begin <= c.for_s && c.for_s <= sealed.for_s && (0..=GLASS_ASK_S).contains(&(o.begin - c.at)));
    assert!(o.scopes.iter().all(|scope| sealed.scopes.contains(scope)) && o.by[0].person != o.by[1].person && o.by.iter().any(|b| b.supervisor));
    assert!(o.works.is_none_or(|w| o.by.iter().all(|b| b.person != w)));
    assert_eq!(on.take(&kept), Err(Why::Order), "the same again");
    for other in forged(&kept) {
        assert!(Chain::new(&s.grant).take(&other).is_err(), "forged");
    }
}
