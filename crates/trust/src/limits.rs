//! Numbers that only the server knows, each with its unit and its reason. Those of the protocol
//! itself stand in `countersign_wire::limits`.

/// Openings per source and minute: a busy shop's address stays below, a scraper does not.
pub const OPENS_PER_SOURCE_MIN: i64 = 30;
/// Openings per client and minute.
pub const OPENS_PER_CLIENT_MIN: i64 = 600;
/// Pushes in one hour for one person.
pub const PUSHES_PER_PERSON_HOUR: i64 = 10;
/// Pushes waiting for one person at a time.
pub const PUSHES_WAITING: usize = 3;
/// Requests of one client in a row that a person did not approve; from then on they ring no phone for a while.
pub const UNANSWERED_RINGS: i64 = 2;
/// What "not me" counts for among them: silence at once, and longer than the screen is stopped.
pub const RINGS_NOT_ME: i64 = 4;
/// That while, seconds; twice as long with each further one.
pub const QUIET_S: i64 = 300;
/// Its longest, seconds: whoever is wanted once a day hears of it.
pub const QUIET_MAX_S: i64 = 24 * 3600;
/// What a browser gave in order to be told is kept for this long, seconds; its page gives it anew before.
pub const SUBSCRIPTION_S: i64 = 60 * 86_400;
/// Longest address of a push service, bytes: they carry a few hundred.
pub const ENDPOINT_BYTES: usize = 1_024;
/// Wrong user codes per device in 10 minutes.
pub const WRONG_USER_CODES_10_MIN: i64 = 5;
/// The same from one network: some people type badly at the same place.
pub const WRONG_USER_CODES_SOURCE_10_MIN: i64 = 50;
/// The same from everybody. Of 34 bits this many guesses hit one of a thousand living codes once in
/// twenty-five thousand such spans.
pub const WRONG_USER_CODES_ALL_10_MIN: i64 = 1_000;
/// Requests of one client that a person left unanswered in an hour; from then on none is shown to them.
pub const UNANSWERED_HOUR: i64 = 3;
/// Clients that are told at the same time that there is something to collect; the others ask by themselves.
pub const PINGS_AT_ONCE: usize = 256;
/// Names that nobody has, by one client in an hour: typing errors, and no list to go through.
pub const UNKNOWN_HINTS_HOUR: i64 = 30;
/// Shortest time a client may give a person to answer, seconds.
pub const ASK_MIN_S: i64 = 30;
/// Longest binding message, characters: it must fit on a phone beside everything else.
pub const BINDING_CHARS: usize = 128;
/// Longest `request_context`, bytes.
pub const CONTEXT_BYTES: usize = 2_048;
/// A client asks for its tokens this often, seconds (RFC 8628 §3.2), and so much less often each time it
/// was quicker (§3.5).
pub const POLL_S: i64 = 5;
/// Clients that ask for their tokens and are remembered, on one node.
pub const POLLING: usize = 100_000;
/// Wrong digits per person and device in 24 hours; then only a passkey sign-in opens these ways.
pub const WRONG_DIGITS_DAY: i64 = 10;
/// Scans without a decision per device in 10 minutes: slows a scanner who blocks others.
pub const UNDECIDED_SCANS_10_MIN: i64 = 10;
/// Refusals by policy before a ceremony is abandoned.
pub const DENIED_SCANS: u8 = 5;
/// A person's "not me" stops a screen for this long, seconds.
pub const QUARANTINE_S: i64 = 15 * 60;
/// Persons who must say "not me" within ten minutes before a source is stopped for everyone.
pub const PERSONS_FOR_SOURCE: usize = 3;
/// "Not me" is taken from a device this long after its scan was refused, seconds.
pub const LATE_NOT_ME_S: i64 = 120;
/// "Not me" is taken this long after a request has ended and nothing that it gave lives, seconds.
pub const DISOWN_S: i64 = 600;
/// Refusals for one client within an hour that count as one "not me".
pub const REFUSALS_AS_NOT_ME: i64 = 3;
/// Browser cookie and authorization request, seconds.
pub const BROWSER_S: i64 = 30 * 60;
/// Invitation to enrol, seconds (NIST 800-63B-4 §4.1.2: at most 10 minutes).
pub const INVITATION_S: i64 = 600;
/// A link that registers a terminal: long enough to carry a list of them through a shop, seconds.
pub const TERMINAL_LINK_S: i64 = 24 * 3600;
/// Terminals invited with one list.
pub const TERMINALS_AT_ONCE: usize = 1_000;
/// How often a terminal takes back in an hour that somebody far away has it in hand: support comes and goes, a
/// machine that flickers is in doubt.
pub const REMOTE_ENDS_HOUR: i64 = 30;
/// A grant for rights without the line is handed in so long after its end, seconds, or its terminal is suspended: a line
/// that is down for a day is mended.
pub const GLASS_GRACE_S: i64 = 24 * 3600;
/// Such grants that a terminal takes in an hour, and chains that it hands in: it needs one a day.
pub const GLASS_HOUR: i64 = 20;
/// Longest word of a reviewer, characters.
pub const REVIEW_CHARS: usize = 200;
/// A live badge on a phone, seconds: as long as a screen's code is scanned.
pub const BADGE_S: i64 = 120;
/// Badges that a device makes in ten minutes: one every two for whoever waits in a line, and room to try again.
pub const BADGES_10_MIN: i64 = 20;
/// A device bound by a synced passkey alone has reduced rights for this long, seconds.
pub const LIMITED_S: i64 = 24 * 3600;
/// Devices of one person that wait to be allowed: enough for whoever tries again, few to look through.
pub const DEVICES_WAITING: usize = 5;
/// Seats on one phone: the shifts of a shop, and few enough to end in one commit.
pub const SEATS: usize = 40;
/// A seat shows what is its person's for this long after their passkey, seconds: a look, and no longer than somebody holds the phone.
pub const SEAT_OPEN_S: i64 = 180;
/// [Undo] works for this long, seconds.
pub const UNDO_S: i64 = 72 * 3600;
/// Recovery codes in a set: enough for a few mishaps, few enough to copy by hand.
pub const RECOVERY_CODES: usize = 8;
/// Recovery codes tried for one login name in an hour. With 128 bits no limit is needed against
/// guessing; this one keeps the log readable.
pub const RECOVERY_PER_LOGIN_HOUR: i64 = 20;
/// The same from one network in ten minutes.
pub const RECOVERY_PER_SOURCE_10_MIN: i64 = 10;
/// A recovery waits for its second approval, and afterwards to be used, for this long, seconds.
pub const RECOVERY_S: i64 = 24 * 3600;
/// Time in which a person can stop a recovery that two people approved, seconds; the operator may
/// choose another.
pub const RECOVERY_DELAY_S: i64 = 3600;
/// A pushed authorization request, until a browser comes for it, seconds (RFC 9126 §2.2; FAPI 2.0
/// allows less than ten minutes, a redirect needs far less).
pub const PUSHED_S: i64 = 60;
/// A signed authorization response, seconds (JARM §2.1 recommends ten minutes at most).
pub const RESPONSE_S: i64 = 120;
/// Longest life of a signed request object, seconds (FAPI 2.0 Message Signing §5.3.1).
pub const REQUEST_OBJECT_S: i64 = 3_600;
/// Longest session of somebody for whom another vouches, seconds: whoever needs it longer asks again.
pub const VOUCHED_S: i64 = 3_600;
/// How often somebody vouches for others in an hour: a whole shift whose phones are flat, and no more.
pub const VOUCHES_HOUR: i64 = 20;
/// Longest time that a right is given for, seconds: whoever needs it longer asks again.
pub const RIGHT_S: i64 = 3_600;
/// The same where nothing shows that whoever approved it was near the screen, seconds.
pub const FAR_RIGHT_S: i64 = 300;
/// Authorization code, seconds (RFC 6749 §4.1.2 allows ten minutes; a page needs far less).
pub const CODE_S: i64 = 60;
/// Access token for people, seconds.
pub const ACCESS_S: i64 = 300;
/// Access token that is bound to no key, seconds: whoever finds it can use it.
pub const BEARER_S: i64 = 60;
/// Age of a client's DPoP proof in the profile `fapi2`, seconds.
pub const STRICT_PROOF_S: i64 = 10;
/// What such a proof may be older when it arrives, seconds: the way here, and the second that begins.
pub const STRICT_WAY_S: i64 = 2;
/// A client whose answer was lost may ask for it again for this long, seconds: one retry over a bad
/// network, far less than an access token lives.
pub const REFRESH_RETRY_S: i64 = 10;
/// Pass of forward-auth, seconds: as long the terminal's key need not be shown again.
pub const PASS_S: i64 = 300;
/// Cookie of a bound session, seconds: browsers refresh a few times in as many minutes and no oftener.
pub const BOUND_S: i64 = 600;
/// A workload is registered for this long at most, seconds: somebody says once a year that it is still needed.
pub const WORKLOAD_S: i64 = 366 * 24 * 3600;
/// Workloads that act one for the other for a person: longer chains say nothing to whoever reads them.
pub const ACTORS: usize = 4;
/// Uses of workloads are written down after this long at the latest, seconds.
pub const USES_S: i64 = 10;
/// ID token, seconds.
pub const ID_TOKEN_S: i64 = 300;
/// Session without activity, seconds (NIST 800-63B-4 §2.3.3 recommends at most 15 minutes at AAL3).
pub const IDLE_S: i64 = 15 * 60;
/// Session at most, seconds.
pub const SESSION_S: i64 = 8 * 3600;
/// Session from an unknown terminal at most, seconds: a borrowed screen is not home.
pub const UNKNOWN_SESSION_S: i64 = 3600;
/// Passkey challenge at the terminal, seconds.
pub const CHALLENGE_S: i64 = 300;
/// Server key K: new one after, seconds.
pub const K_ROTATE_S: i64 = 24 * 3600;
/// Server key K: an old one stays good for, seconds; longer than any ceremony.
pub const K_KEEP_S: i64 = 15 * 60;
/// An operator acts for this long after approving, seconds: long enough to look into one case, short enough that a
/// screen that was left stops nobody.
pub const OPERATE_S: i64 = 600;
/// Newest events among which the operator's page looks for what to show: older ones are found by command.
pub const OPERATOR_EVENTS: i64 = 20_000;
/// How far back the operator's page looks for what a device touched, seconds.
pub const TOUCHED_S: i64 = 90 * 24 * 3600;
/// Longest name of a person or a device, characters.
pub const NAME_CHARS: usize = 80;
/// Longest request body, bytes.
pub const BODY_BYTES: usize = 64 * 1024;
/// Streams and polls that may wait at once on one node: each holds a connection.
pub const WAITERS: usize = 19_000;
/// The same for one ceremony: a page has one, and a line that broke is noticed late.
pub const WAITERS_EACH: usize = 8;
/// Lines of one kind in the log that callers of one network who have shown nothing may cause in a
/// minute: an office full of people stays far below.
pub const LINES_PER_SOURCE_MIN: i64 = 120;
/// The same for one device, ceremony, session or client: real ones stay far below.
pub const LINES_PER_CALLER_MIN: i64 = 300;
/// Callers that are counted apart in a minute, on one node; the others share one count.
pub const CALLERS_MIN: usize = 100_000;
/// Callers whose unwritten refusals of a minute get a line each; the others share one.
pub const NOISY_CALLERS: usize = 100;
/// Networks that are known of one session or device: enough for a desk, a home, a train and a few cafés.
pub const NETWORKS: usize = 16;
/// News about the network of a device counts for as long as a session can have been open before it, seconds.
pub const NETWORK_NEWS_S: i64 = 7 * 86_400;
/// Between two pieces of news about the network of one device, seconds: whoever changes it with every request is
/// told of once a minute.
pub const NETWORK_PAUSE_S: i64 = 60;
/// Approvals by one person in a minute: each takes a look at two screens and a finger.
pub const APPROVALS_MIN: i64 = 12;
/// A session's cookie with another key than its own, in a minute: a page that lost its key tries again and gives up.
pub const WRONG_KEYS_MIN: i64 = 5;
/// What odd behaviour says of a person, device or session counts for this long, seconds.
pub const ODD_S: i64 = 3600;
/// Attempts to re-judge after a lost race before giving up.
pub const RACES: usize = 8;
/// Most items in one list answer.
pub const LIST: i64 = 100;
/// Those outside who are told what they are owed at the same time, of each kind: enough that one who is slow holds up nobody
/// else, few enough for a client whose sessions all end at once.
pub const TOLD_AT_ONCE: usize = 128;
/// What a node knows of its clients together counts for so long, seconds: what another process changed is known by then at the latest.
pub const REGISTERED_S: i64 = 5;
/// Documents of clients that a node fetches in a minute, for all and for one network.
pub const DOCUMENTS_MIN: usize = 60;
/// The same for one network.
pub const DOCUMENTS_PER_SOURCE_MIN: usize = 10;
/// How often a node fetches the document of one client that it knows, in a minute: people wait while it is read, and strangers
/// who ask for other documents must not keep it from being read.
pub const DOCUMENT_AGAIN_MIN: usize = 10;
/// Clients that nobody listed, of each kind: each is a row.
pub const NEWCOMERS: usize = 1_000;
/// Those of them with documents on one host.
pub const NEWCOMERS_PER_HOST: usize = 100;
/// Idle ones that make room at a time: to find them, every grant is looked at.
pub const NEWCOMERS_FORGOTTEN: usize = 16;
/// A request that was made so long ago keeps its client no more, seconds: no sign-in takes longer. What strangers begin in this
/// time, at [`DOCUMENTS_MIN`], is less than [`NEWCOMERS`].
pub const NEWCOMER_BUSY_S: i64 = 600;

/// Characters of a word that clients must bring who ask for a person by name: the least and the most.
pub const USER_CODE_CHARS: std::ops::RangeInclusive<usize> = 6..=64;
/// Rounds of PBKDF2-HMAC-SHA256 over it: some hundredths of a second, so that a copied store is slow to search.
pub const USER_CODE_ROUNDS: u32 = 100_000;
/// Wrong words of one client about one person within an hour; then nothing counts for the rest of it.
pub const WRONG_WORDS_HOUR: i64 = 5;
/// Changes of a person's word within an hour.
pub const USER_CODE_CHANGES_HOUR: i64 = 10;
