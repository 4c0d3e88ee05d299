//! Rights without the line: one use judged, everything that can be wrong with it changed one by one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use countersign_wire::glass::{self, Answer, Bundle, Chain, Challenge, Closed, Grant, Holder, Record, Sealed, Slip, Why, roster_bytes};
use countersign_wire::jose::jws::SignFault;
use countersign_wire::jose::{Alg, Jwk, Keys, Signer};
use countersign_wire::limits::{GLASS_ASK_S, GLASS_S, GLASS_SLACK_S};
use countersign_wire::statement::Plate;
use countersign_wire::webauthn::AssertionText;
use countersign_wire::{DeviceId, GlassId, PersonId, TerminalId, Time, b64, mac};
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example";
const RP_ID: &str = "id.example";

struct Key {
    fixed: EcdsaKeyPair,
    asn1: EcdsaKeyPair,
    public: Jwk,
}

impl Key {
    fn new() -> Key {
        let pkcs8 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap().to_pkcs8v1().unwrap();
        let fixed = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
        let asn1 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
        let public = Jwk::from_point(fixed.public_key().as_ref()).unwrap();
        Key { fixed, asn1, public }
    }
}

impl Signer for Key {
    fn alg(&self) -> Alg {
        Alg::ES256
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        Ok(self.fixed.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
    }
}

/// A person's phone with its passkey.
struct Phone {
    holder: Holder,
    dk: Key,
    passkey: Key,
}

impl Phone {
    fn new(n: u8, person: u8, supervisor: bool) -> Phone {
        let (dk, passkey) = (Key::new(), Key::new());
        let at = Time::from_seconds(NOW);
        let holder = Holder {
            person: PersonId::new(at, [person; 10]),
            name: format!("Person {person}"),
            supervisor,
            device: DeviceId::new(at, [n; 10]),
            dk: dk.public.clone(),
            credential: b64::encode(&[n; 16]).parse().unwrap(),
            passkey: passkey.public.clone(),
            backup_eligible: false,
            counter: 3,
        };
        Phone { holder, dk, passkey }
    }

    /// An assertion as an authenticator would make it.
    fn assertion(&self, challenge: &[u8; 32], rp_id: &str, flags: u8, counter: u32) -> AssertionText {
        let client = json!({"type": "webauthn.get", "challenge": b64::encode(challenge), "origin": ISSUER, "crossOrigin": false}).to_string();
        let mut data = mac::h(rp_id.as_bytes()).to_vec();
        data.push(flags);
        data.extend(counter.to_be_bytes());
        let signed = [&data[..], &mac::h(client.as_bytes())].concat();
        let signature = self.passkey.asn1.sign(&SystemRandom::new(), &signed).unwrap();
        AssertionText {
            credential_id: self.holder.credential.to_string(),
            authenticator_data: b64::encode(&data),
            client_data_json: b64::encode(client.as_bytes()),
            signature: b64::encode(signature.as_ref()),
            user_handle: None,
        }
    }

    fn answers(&self, sealed: &Sealed, challenge: &[u8], counter: u32) -> Answer {
        let digest = Challenge::digest(challenge);
        let assertion = self.assertion(&Challenge::for_passkey(&digest), RP_ID, 0x05, counter);
        glass::approve(sealed, &digest, &self.holder.device, assertion, &self.dk.public, &self.dk).unwrap()
    }
}

struct World {
    server: Key,
    terminal: Key,
    /// Lea, Ana (supervisor), Bo, Ana's second phone.
    phones: Vec<Phone>,
    keys: Keys,
    sealed: Sealed,
    text: String,
    roster: Vec<u8>,
}

fn keys(named: &[(&str, &Key)]) -> Keys {
    let keys: Vec<Value> = named
        .iter()
        .map(|(kid, key)| {
            let mut jwk = key.public.members();
            jwk.insert("kid".into(), (*kid).into());
            jwk.into()
        })
        .collect();
    Keys::of(&json!({ "keys": keys }))
}

impl World {
    fn new() -> World {
        World::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Sealed)) -> World {
        let (server, terminal) = (Key::new(), Key::new());
        let phones = vec![Phone::new(1, 1, false), Phone::new(2, 2, true), Phone::new(3, 3, false), Phone::new(4, 2, true)];
        let (roster, digest) = roster_bytes(&phones.iter().map(|p| p.holder.clone()).collect::<Vec<_>>()).unwrap();
        let at = Time::from_seconds(NOW);
        let mut sealed = Sealed {
            v: 1,
            iss: ISSUER.into(),
            rp_id: RP_ID.into(),
            id: GlassId::new(at, [1; 10]),
            serial: 1,
            terminal: TerminalId::new(at, [2; 10]),
            jkt: terminal.public.thumbprint(),
            plate: Plate { name: "Till 4".into(), place: "Market Street".into(), class: "till".into(), attested: false },
            client: "till".parse().unwrap(),
            client_name: "Harbour Books Till".into(),
            scopes: vec!["discount".into(), "refund".into()],
            for_s: 600,
            uses: 2,
            roster: digest,
            iat: NOW,
            exp: NOW + 3_600,
        };
        change(&mut sealed);
        let text = sealed.seal("k1", &server).unwrap();
        let keys = keys(&[("k1", &server)]);
        World { server, terminal, phones, keys, sealed, text, roster }
    }

    fn grant(&self) -> Grant {
        Grant::open(&self.text, &self.roster, &self.keys).unwrap()
    }

    fn challenge(&self, chain: &Chain<'_>) -> Challenge {
        Challenge {
            v: 1,
            grant: b64::encode(&self.grant().digest),
            number: chain.uses() + 1,
            prev: chain.last(),
            scopes: vec!["discount".into()],
            for_s: 300,
            reason: "the line is down".into(),
            works: None,
            at: NOW + 100 + chain.uses(),
            n: b64::encode(&[9; 16]),
        }
    }

    /// A record of `challenge` that these two phones answered.
    fn record(&self, challenge: &Challenge, by: [usize; 2]) -> Record {
        let bytes = challenge.encode().unwrap();
        let counter = u32::try_from(4 + challenge.number).unwrap();
        Record {
            v: 1,
            challenge: b64::encode(&bytes),
            answers: by.map(|n| self.phones[n].answers(&self.sealed, &bytes, counter)),
            begin: challenge.at + 60,
            end: challenge.at + 60 + challenge.for_s,
        }
    }

    fn kept(&self, record: &Record) -> String {
        glass::keep(record, &self.terminal.public, &self.terminal).unwrap()
    }

    /// How the first use is judged after both were changed.
    fn first(&self, change: impl FnOnce(&mut Challenge), by: [usize; 2], spoil: impl FnOnce(&mut Record)) -> Result<glass::Opened, Why> {
        let grant = self.grant();
        let mut chain = Chain::new(&grant);
        let mut challenge = self.challenge(&chain);
        change(&mut challenge);
        let mut record = self.record(&challenge, by);
        spoil(&mut record);
        chain.take(&self.kept(&record))
    }
}

#[test]
fn two_people_open_what_was_granted_and_it_says_who_and_until_when() {
    let w = World::new();
    let opened = w.first(|_| (), [0, 1], |_| ()).unwrap();
    assert_eq!((opened.number, opened.begin, opened.end), (1, NOW + 160, NOW + 460));
    assert_eq!(opened.by.clone().map(|o| (o.name, o.supervisor)), [("Person 1".to_owned(), false), ("Person 2".to_owned(), true)]);
    assert!(opened.is_open(NOW + 160) && opened.is_open(NOW + 459) && !opened.is_open(NOW + 460) && !opened.is_open(NOW + 159));
    assert!(w.first(|_| (), [1, 2], |_| ()).is_ok() && w.first(|_| (), [3, 2], |_| ()).is_ok(), "in any order, by any phone of theirs");
    assert!(w.first(|c| c.works = Some(w.phones[2].holder.person.clone()), [0, 1], |_| ()).is_ok());
}

#[test]
fn a_use_with_any_one_thing_changed_is_refused_for_it() {
    let w = World::new();
    type Change = fn(&mut Challenge);
    let changes: [(Change, Why); 15] = [
        (|c| c.grant = b64::encode(&[1; 32]), Why::Challenge),
        (|c| c.number = 2, Why::Order),
        (|c| c.number = 3, Why::Count),
        (|c| c.prev = b64::encode(&[1; 32]), Why::Order),
        (|c| c.scopes = vec!["void".into()], Why::Scope),
        (|c| c.scopes.push("void".into()), Why::Scope),
        (|c| c.for_s = 601, Why::Minutes),
        (|c| c.at = NOW - GLASS_SLACK_S - 1, Why::Clock),
        (|c| c.at = NOW + 3_600, Why::Time),
        (|c| c.at = NOW + 3_500, Why::Time),
        (|c| c.at = i64::MAX / 1_024, Why::Time),
        (|c| c.works = Some(PersonId::new(Time::from_seconds(NOW), [1; 10])), Why::Works),
        (|c| c.works = Some(PersonId::new(Time::from_seconds(NOW), [2; 10])), Why::Works),
        (|c| c.at = NOW - GLASS_SLACK_S - 86_400, Why::Clock),
        (|c| (c.number, c.prev) = (2, b64::encode(&[2; 32])), Why::Order),
    ];
    for (n, (change, why)) in changes.into_iter().enumerate() {
        assert_eq!(w.first(change, [0, 1], |_| ()), Err(why), "change {n}");
    }
    for (by, why) in [
        ([0, 0], Why::SameDevice),
        ([1, 1], Why::SameDevice),
        ([1, 3], Why::SamePerson),
        ([0, 2], Why::Supervisor),
    ] {
        assert_eq!(w.first(|_| (), by, |_| ()), Err(why), "{by:?}");
    }
    type Spoil = fn(&mut Record);
    let spoils: [(Spoil, Why); 8] = [
        (|r| r.begin -= 61, Why::Time),
        (|r| (r.begin, r.end) = (r.begin + GLASS_ASK_S - 59, r.begin + GLASS_ASK_S), Why::Time),
        (|r| r.end = r.begin, Why::Time),
        (|r| r.end += 1, Why::Minutes),
        (|r| r.end = i64::MAX, Why::Time),
        (|r| r.v = 2, Why::Malformed),
        (|r| r.answers[1] = r.answers[0].clone(), Why::SameDevice),
        (|r| r.challenge.push('A'), Why::Malformed),
    ];
    for (n, (spoil, why)) in spoils.into_iter().enumerate() {
        assert_eq!(w.first(|_| (), [0, 1], spoil), Err(why), "spoil {n}");
    }
}

#[test]
fn an_answer_to_anything_else_or_by_anybody_else_is_none() {
    let w = World::new();
    let grant = w.grant();
    let asked = w.challenge(&Chain::new(&grant));
    let bytes = asked.encode().unwrap();
    let digest = Challenge::digest(&bytes);
    let judge = |answer: Answer| {
        let good = w.record(&asked, [0, 1]);
        let [first, _] = good.answers;
        Chain::new(&grant).take(&w.kept(&Record { answers: [first, answer], ..good })).map(|_| ())
    };
    let ana = &w.phones[1];
    assert_eq!(judge(ana.answers(&w.sealed, &bytes, 4)), Ok(()));
    // Another challenge, though it differs in nothing that is read: another 128 bits, another terminal's grant.
    let other = Challenge { n: b64::encode(&[8; 16]), ..asked.clone() }.encode().unwrap();
    assert_eq!(judge(ana.answers(&w.sealed, &other, 4)), Err(Why::Device));
    let elsewhere = Sealed { iss: "https://evil.example".into(), ..w.sealed.clone() };
    assert_eq!(judge(ana.answers(&elsewhere, &bytes, 4)), Err(Why::Device));
    // A stranger's phone; a stranger's key under a listed name; a listed device with a passkey that is not listed for it.
    assert_eq!(judge(Phone::new(9, 9, true).answers(&w.sealed, &bytes, 4)), Err(Why::Stranger));
    assert_eq!(judge(Phone::new(2, 2, true).answers(&w.sealed, &bytes, 4)), Err(Why::Device));
    let mixed = Answer { assertion: w.phones[3].answers(&w.sealed, &bytes, 4).assertion, ..ana.answers(&w.sealed, &bytes, 4) };
    assert_eq!(judge(mixed), Err(Why::Stranger));
    // The passkey: of an earlier count, for another site, without the person, over something else, of an online approval.
    let by = |assertion| glass::approve(&w.sealed, &digest, &ana.holder.device, assertion, &ana.dk.public, &ana.dk).unwrap();
    let right = Challenge::for_passkey(&digest);
    for (n, assertion) in [
        ana.assertion(&right, RP_ID, 0x05, 3),
        ana.assertion(&right, "evil.example", 0x05, 4),
        ana.assertion(&right, RP_ID, 0x01, 4),
        ana.assertion(&right, RP_ID, 0x0d, 4),
        ana.assertion(&digest, RP_ID, 0x05, 4),
        ana.assertion(&countersign_wire::statement::challenge(&digest), RP_ID, 0x05, 4),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(judge(by(assertion)), Err(Why::Passkey), "assertion {n}");
    }
    // A device's word that names another assertion than it came with.
    let two = [ana.answers(&w.sealed, &bytes, 4), ana.answers(&w.sealed, &bytes, 5)];
    let swapped = Answer { answer: two[0].answer.clone(), assertion: two[1].assertion.clone() };
    assert_eq!(judge(swapped), Err(Why::Passkey));
    // A decision of a ceremony is no answer, whatever it says.
    let typed = |typ: &str| {
        let mut header = serde_json::Map::new();
        header.insert("typ".into(), typ.into());
        let good = ana.answers(&w.sealed, &bytes, 4);
        let payload = b64::decode(good.answer.split('.').nth(1).unwrap()).unwrap();
        Answer { answer: countersign_wire::jose::jws::encode(header, &payload, &ana.dk).unwrap(), ..good }
    };
    assert_eq!(judge(typed("cs-glass-answer+jws")), Ok(()));
    assert_eq!(judge(typed("cs-approval+jws")), Err(Why::Malformed));
}

#[test]
fn a_chain_goes_on_in_its_order_and_ends_with_the_terminals_word() {
    let w = World::new();
    let grant = w.grant();
    let mut chain = Chain::new(&grant);
    let one = w.kept(&w.record(&w.challenge(&chain), [0, 1]));
    let empty = chain.clone();
    chain.take(&one).unwrap();
    let again = chain.clone().take(&one);
    assert_eq!(again, Err(Why::Order), "the same record twice");
    let asked = w.challenge(&chain);
    // The clock of the second use is not before the first.
    let back = Challenge { at: NOW + 159, ..asked.clone() };
    assert_eq!(chain.clone().take(&w.kept(&w.record(&back, [0, 1]))), Err(Why::Clock));
    let second = Challenge { at: NOW + 160, ..asked.clone() };
    let two = w.kept(&w.record(&second, [2, 3]));
    // Without the first, the second is not in its place; with the counter of the first, nobody answered twice.
    assert_eq!(empty.clone().take(&two), Err(Why::Order));
    let mut replayed = w.record(&second, [0, 1]);
    let bytes = second.encode().unwrap();
    replayed.answers[0] = w.phones[0].answers(&w.sealed, &bytes, 5);
    assert_eq!(chain.clone().take(&w.kept(&replayed)), Err(Why::Passkey), "the counter of the first use");
    let fork = w.kept(&w.record(&Challenge { reason: "another".into(), ..w.challenge(&empty) }, [0, 1]));
    let mut forked = empty.clone();
    forked.take(&fork).unwrap();
    assert_eq!(forked.take(&two), Err(Why::Order), "a chain that began otherwise");
    chain.take(&two).unwrap();
    let third = Challenge { number: 3, prev: chain.last(), at: NOW + 300, ..asked };
    assert_eq!(chain.clone().take(&w.kept(&w.record(&third, [0, 1]))), Err(Why::Count));
    // The last word.
    let word = |uses, last: String, key: &Key| glass::close(&Closed { v: 1, id: w.sealed.id.clone(), uses, last, at: NOW + 900 }, &key.public, key).unwrap();
    assert!(chain.end(&word(2, chain.last(), &w.terminal)).is_ok());
    assert_eq!(chain.end(&word(1, chain.last(), &w.terminal)), Err(Why::Close));
    assert_eq!(chain.end(&word(2, empty.last(), &w.terminal)), Err(Why::Close));
    assert_eq!(chain.end(&word(2, chain.last(), &Key::new())), Err(Why::Terminal));
    assert_eq!(chain.end(&two), Err(Why::Malformed));
    // As a bundle: whole, cut behind, cut before, unfinished.
    let bundle = Bundle { grant: w.text.clone(), roster: b64::encode(&w.roster), records: vec![one.clone(), two.clone()], close: Some(word(2, chain.last(), &w.terminal)) };
    let judged = bundle.judge(&w.keys).unwrap();
    assert_eq!((judged.opened.len(), judged.wrong, judged.is_closed), (2, None, true));
    let of = |records: &[&String]| {
        let cut = Bundle { records: records.iter().map(|r| (*r).clone()).collect(), ..bundle.clone() };
        let judged = cut.judge(&w.keys).unwrap();
        (judged.opened.len(), judged.wrong, judged.is_closed)
    };
    assert_eq!(of(&[&one]), (1, Some(Why::Close), false));
    assert_eq!(of(&[&two]), (0, Some(Why::Order), false));
    assert_eq!(of(&[&two, &one]), (0, Some(Why::Order), false));
    assert_eq!(of(&[]), (0, Some(Why::Close), false));
    assert_eq!(Bundle { close: None, ..bundle }.judge(&w.keys).map(|j| (j.wrong, j.is_closed)).unwrap(), (None, false));
}

#[test]
fn a_record_is_the_terminals_own_and_nobody_elses() {
    let w = World::new();
    let grant = w.grant();
    let record = w.record(&w.challenge(&Chain::new(&grant)), [0, 1]);
    let stranger = Key::new();
    // By another key, under its own name and under the terminal's.
    assert_eq!(Chain::new(&grant).take(&glass::keep(&record, &stranger.public, &stranger).unwrap()), Err(Why::Terminal));
    assert_eq!(Chain::new(&grant).take(&glass::keep(&record, &w.terminal.public, &stranger).unwrap()), Err(Why::Terminal));
    let good = w.kept(&record);
    for at in [5, good.find('.').unwrap() + 9, good.rfind('.').unwrap() + 9] {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert!(Chain::new(&grant).take(std::str::from_utf8(&bytes).unwrap()).is_err(), "{at}");
    }
}

#[test]
fn a_grant_is_the_servers_with_the_list_that_it_sealed_and_within_its_limits() {
    let w = World::new();
    let open = |text: &str, roster: &[u8], keys: &Keys| Grant::open(text, roster, keys).map(|_| ());
    assert_eq!(open(&w.text, &w.roster, &w.keys), Ok(()));
    let (evil, none) = (Key::new(), Keys::default());
    assert_eq!(open(&w.text, &w.roster, &none), Err(Why::Grant));
    assert_eq!(open(&w.text, &w.roster, &keys(&[("k1", &evil)])), Err(Why::Grant), "a key of that name, of another server");
    assert_eq!(open(&w.sealed.seal("k1", &evil).unwrap(), &w.roster, &w.keys), Err(Why::Grant));
    assert_eq!(open(&w.text, b"[]", &w.keys), Err(Why::Roster));
    let mut with_mine: Vec<Holder> = w.phones.iter().map(|p| p.holder.clone()).collect();
    with_mine.push(Phone::new(9, 9, true).holder);
    assert_eq!(open(&w.text, &roster_bytes(&with_mine).unwrap().0, &w.keys), Err(Why::Roster));
    // What breaks a limit is not sealed; and what another program sealed all the same is not taken.
    type Change = fn(&mut Sealed);
    let changes: [Change; 14] = [
        |s| s.v = 2,
        |s| s.exp = s.iat + GLASS_S + 1,
        |s| s.exp = s.iat,
        |s| s.exp = i64::MIN,
        |s| s.uses = 6,
        |s| s.uses = 0,
        |s| s.for_s = 3_601,
        |s| s.for_s = 0,
        |s| s.scopes = vec![],
        |s| s.scopes = vec!["a b".into()],
        |s| s.scopes = vec!["a".into(), "a".into()],
        |s| s.scopes = (0..9).map(|n| n.to_string()).collect(),
        |s| s.serial = 0,
        |s| s.plate.name = "Till\u{202e}4".into(),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let mut sealed = w.sealed.clone();
        change(&mut sealed);
        assert!(sealed.seal("k1", &w.server).is_err(), "change {n}");
        let mut header = serde_json::Map::new();
        header.extend([("typ".to_owned(), json!("cs-glass-grant+jws")), ("kid".to_owned(), json!("k1"))]);
        let text = countersign_wire::jose::jws::encode(header, &serde_json::to_vec(&sealed).unwrap(), &w.server).unwrap();
        assert_eq!(open(&text, &w.roster, &w.keys), Err(Why::Grant), "change {n}");
    }
    // A token of the same key is no grant.
    let mut header = serde_json::Map::new();
    header.extend([("typ".to_owned(), json!("at+jwt")), ("kid".to_owned(), json!("k1"))]);
    let token = countersign_wire::jose::jws::encode(header, &serde_json::to_vec(&w.sealed).unwrap(), &w.server).unwrap();
    assert_eq!(open(&token, &w.roster, &w.keys), Err(Why::Malformed));
}

#[test]
fn slips_and_answers_are_read_as_they_were_written() {
    let w = World::new();
    let grant = w.grant();
    let asked = w.challenge(&Chain::new(&grant));
    let bytes = asked.encode().unwrap();
    assert_eq!(Challenge::parse(&bytes).unwrap(), asked);
    let slip = Slip { challenge: bytes.clone(), grant: w.text.clone() };
    assert_eq!(Slip::parse(&format!(" {}\n", slip.text())).unwrap(), slip);
    for bad in ["", "CSG1", "CSG1.AA", "CSG2.AA.x", "https://id.example/q#x", &format!("CSG1.*.{}", w.text)] {
        assert_eq!(Slip::parse(bad), Err(Why::Malformed), "{bad}");
    }
    let answer = w.phones[0].answers(&w.sealed, &bytes, 4);
    assert_eq!(Answer::parse(&answer.text()).unwrap(), answer);
    assert!(Answer::parse("e30").is_err() && Answer::parse("").is_err() && Answer::parse(&"A".repeat(100_000)).is_err());
    for spoil in [
        (|c: &mut Challenge| c.reason = "  ".into()) as fn(&mut Challenge),
        |c| c.reason = "x".repeat(201),
        |c| c.reason = "a\u{202e}b".into(),
        |c| c.n = b64::encode(&[9; 15]),
        |c| c.number = 0,
        |c| c.for_s = 0,
        |c| c.scopes = vec![],
    ] {
        let mut other = asked.clone();
        spoil(&mut other);
        assert!(other.encode().is_err(), "{other:?}");
    }
    let more = String::from_utf8(bytes).unwrap().replace("\"v\":1", "\"v\":1,\"x\":1");
    assert!(Challenge::parse(more.as_bytes()).is_err(), "what is not shown is not signed");
}
