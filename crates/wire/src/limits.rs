//! Every number of the protocol that both sides must agree on, with its unit and its reason.

/// Length of one live frame, milliseconds: long enough for a camera, short for a forwarded picture.
pub const FRAME_MS: i64 = 3_000;
/// How many frames back a single frame may be: camera app, page load and request take up to 15 s.
pub const FRAME_BACK: i64 = 4;
/// Life of an opened QR code, seconds (floor of NIST 800-63B-4 §3.1.3.2 is 10 minutes).
pub const OPENED_S: i64 = 120;
/// Life of an opened push, seconds.
pub const PUSH_S: i64 = 300;
/// Life of a typed user code, seconds.
pub const USER_CODE_S: i64 = 300;
/// Time to confirm and decide after a scan, seconds.
pub const SCANNED_S: i64 = 120;
/// Highest value policy may give to [`SCANNED_S`], seconds.
pub const SCANNED_MAX_S: i64 = 300;
/// Time to redeem after an approval, seconds: the page is waiting, so this is ample.
pub const APPROVED_S: i64 = 30;
/// The same where a client comes for it: it asks every five seconds, and slower once it was told to.
pub const COLLECT_S: i64 = 60;
/// Digits that must be carried over for an approval of an offered request to be worth anything
/// (NIST 800-63B-4 §3.1.3.2 asks for six).
pub const PUSH_DIGITS: u8 = 6;
/// Time to claim what a redemption gave, seconds.
pub const UNCLAIMED_S: i64 = 60;
/// No ceremony lives longer than this after its opening, seconds.
pub const CEREMONY_MAX_S: i64 = 600;
/// Wrong digits before a ceremony is refused.
pub const TRIES: u8 = 3;
/// Life of a DPoP nonce, seconds, on any node.
pub const NONCE_S: i64 = 60;
/// Life of a challenge for a bound session, seconds: a key in hardware may be slow, and nothing may be signed long ahead.
pub const DBSC_CHALLENGE_S: i64 = 120;
/// Age of a DPoP proof without a nonce, seconds.
pub const PROOF_AGE_S: i64 = 60;
/// Longest accepted JWS, bytes: a decision with its statement digest is below 1 KiB.
pub const JWS_BYTES: usize = 16 * 1024;
/// Longest statement, bytes.
pub const STATEMENT_BYTES: usize = 8 * 1024;
/// Deepest nesting of a statement.
pub const STATEMENT_DEPTH: usize = 8;
/// Longest `jti` accepted, bytes: it becomes a key of the store.
pub const JTI_BYTES: usize = 128;
/// A clock may seem to run behind the beginning of a state by this much, milliseconds.
pub const CLOCK_SLACK_MS: i64 = 2_000;
/// Longest life of a sealed grant, seconds: who may open it was decided before, so not long before.
pub const GLASS_S: i64 = 24 * 3_600;
/// Uses of one sealed grant at most: its whole chain fits into one request.
pub const GLASS_USES: i64 = 5;
/// A use lasts this long at most, seconds.
pub const GLASS_USE_S: i64 = 3_600;
/// Time for both people to answer a terminal's challenge, seconds; also how far clocks of terminal and phones may differ.
pub const GLASS_ASK_S: i64 = 600;
/// A terminal's clock may be behind the server's by this much when a grant is given, seconds.
pub const GLASS_SLACK_S: i64 = 60;
/// Keys of people that one sealed grant can name: one for each phone.
pub const GLASS_HOLDERS: usize = 24;
/// Scopes in one sealed grant.
pub const GLASS_SCOPES: usize = 8;
/// Longest reason, characters.
pub const GLASS_REASON_CHARS: usize = 200;
/// Longest list of those who may open, bytes.
pub const GLASS_ROSTER_BYTES: usize = 18 * 1024;
/// Longest challenge, bytes.
pub const GLASS_CHALLENGE_BYTES: usize = 4 * 1024;
/// Longest record of one use, bytes: as many as a grant has uses are taken back with their list in one request.
pub const GLASS_RECORD_BYTES: usize = 7 * 1024;
