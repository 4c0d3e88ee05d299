//! One suite over every engine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::Arc;

use countersign_store::conformance::{self, prepare};
use countersign_store::failing::Failing;
use countersign_store::testing::{Cluster, HandClock};
use countersign_store::{Clock, Engine};

#[path = "engines/backup.rs"]
mod backup;
#[path = "engines/columns.rs"]
mod columns;
#[path = "engines/postgres.rs"]
mod postgres;
#[path = "engines/sqlite.rs"]
mod sqlite;
#[path = "engines/texts.rs"]
mod texts;

const NOON: i64 = 1_800_000_000_000_000;

/// A store and whatever must live as long as it does.
struct Ground {
    engine: Engine,
    clock: Arc<HandClock>,
    address: String,
    _dir: Option<tempfile::TempDir>,
}

async fn ground(address: &str, dir: Option<tempfile::TempDir>) -> Ground {
    let clock = HandClock::at(NOON);
    let engine = Engine::open_with(address, Arc::clone(&clock) as Arc<dyn Clock>)
        .await
        .unwrap();
    prepare(&engine).await;
    Ground {
        engine,
        clock,
        address: address.to_owned(),
        _dir: dir,
    }
}

async fn memory() -> Option<Ground> {
    Some(ground("sqlite::memory:", None).await)
}

async fn file() -> Option<Ground> {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("sqlite:{}", dir.path().join("store.db").display());
    Some(ground(&address, Some(dir)).await)
}

async fn double() -> Option<Ground> {
    let mut ground = memory().await?;
    ground.engine = Failing::over(ground.engine).0;
    Some(ground)
}

async fn server() -> Option<Ground> {
    let cluster = Cluster::shared().unwrap()?;
    Some(ground(&cluster.database().await.unwrap(), None).await)
}

impl Ground {
    /// The same store as another process has it; what is in memory alone has no other.
    async fn other(&self) -> Engine {
        match self.address.as_str() {
            "sqlite::memory:" => self.engine.clone(),
            address => Engine::open_with(address, Arc::clone(&self.clock) as Arc<dyn Clock>).await.unwrap(),
        }
    }
}

/// One test for each promise on each engine.
macro_rules! promises {
    ($($promise:ident,)*) => {
        promises!(@on memory_sqlite memory $($promise,)*);
        promises!(@on file_sqlite file $($promise,)*);
        promises!(@on failing_double double $($promise,)*);
        promises!(@on postgresql server $($promise,)*);
    };
    (@on $module:ident $ground:ident $($promise:ident,)*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let Some(ground) = super::$ground().await else { return };
                    super::conformance::$promise(&ground.engine).await;
                }
            )*

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn what_is_remembered_is_what_is_there() {
                let Some(ground) = super::$ground().await else { return };
                super::conformance::what_is_remembered_is_what_is_there(&ground.engine, &ground.other().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn what_is_remembered_never_goes_back() {
                let Some(ground) = super::$ground().await else { return };
                super::conformance::what_is_remembered_never_goes_back(&ground.engine, &ground.other().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn time_guards_are_judged_at_the_write() {
                let Some(ground) = super::$ground().await else { return };
                super::conformance::time_guards_are_judged_at_the_write(&ground.engine, &ground.clock).await;
            }
        }
    };
}

promises! {
    values_come_back_as_they_went_in,
    a_guard_that_moved_refuses_the_whole_batch,
    a_statement_that_misses_its_row_refuses_the_whole_batch,
    a_text_that_does_not_fit_leaves_no_trace,
    upkeep_needs_no_event,
    events_come_back_in_order,
    a_working_sequencer_is_heard,
    of_two_racers_one_wins,
    a_guard_holds_until_the_commit,
    opposite_orders_do_not_lock_each_other_out,
    events_are_gapless_and_in_commit_order,
    a_name_is_burnt_once,
    a_budget_is_never_overspent,
    a_bad_batch_among_good_ones_fails_alone,
    a_caller_who_goes_away_leaves_nothing_half_done,
    a_refusal_is_recorded_alone,
    planned_failures_do_what_they_say,
}
