//! The store's limits, each with its unit and its reason.

use std::time::Duration;

/// Jobs one durable write may carry: enough for one sync to be shared, few enough that nobody waits long behind others.
pub const GROUP_MAX_JOBS: usize = 256;
/// Jobs that may wait for the writer: beyond this the store says so at once instead of letting callers queue for seconds.
pub const QUEUE_MAX_JOBS: usize = 4096;
/// Rows one query may return: lists are paged, so more is a mistake.
pub const ROWS_MAX: usize = 10_000;
/// How long SQLite waits for another process (an administrator's command) to finish its write.
pub const BUSY_MS: u64 = 2_000;
/// How often an idle SQLite writer shows that it is alive.
pub const TICK: Duration = Duration::from_millis(200);
/// Prepared statements kept for each connection: more than the program has texts.
pub const STATEMENTS_MAX: usize = 512;
/// A clock this far behind the newest commit is wrong, and times written with it would be too, microseconds.
pub const CLOCK_BEHIND_MAX_US: i64 = 5_000_000;
/// Pages the write-ahead log grows to before it is copied into the file: hot pages are then copied less often.
pub const WAL_PAGES: i64 = 4_000;
/// How much of the file is read in place instead of being copied page by page, bytes. Every commit
/// makes readers forget their pages, so without it each question would copy its pages anew.
pub const MAPPED_BYTES: i64 = 1024 * 1024 * 1024;
/// Rows kept in memory between two questions, each a few kilobytes; when there are as many, it begins anew.
pub const KEPT_ROWS: usize = 4_096;
/// Size the write-ahead log is cut back to after a checkpoint, bytes.
pub const WAL_KEPT_BYTES: i64 = 64 * 1024 * 1024;
/// Times a PostgreSQL transaction is run again after a serialisation failure or a deadlock.
pub const RERUNS_MAX: u32 = 8;
/// Time a caller waits for a PostgreSQL connection.
pub const POOL_WAIT: Duration = Duration::from_secs(2);
/// PostgreSQL connections kept by one node.
pub const POOL_MAX: usize = 16;
/// How long a sequencer that stops beating keeps its lease, microseconds.
pub const LEASE_US: i64 = 1_500_000;
/// Events numbered in one round: bounds the transaction.
pub const NUMBERED_MAX: i64 = 5_000;
/// Events given to a follower at once.
pub const EVENTS_MAX: i64 = 5_000;
/// Longest line of a backup that is read back, bytes.
pub const BACKUP_LINE_MAX_BYTES: usize = 64 * 1024 * 1024;
