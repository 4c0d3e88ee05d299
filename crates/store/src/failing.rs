//! A double over another engine that fails on demand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{Batch, Committed, Engine, Query, Row, Statement, StoreError};

/// What happens to one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: this one passes.
    Pass,
    /// A fact moved just before.
    Conflict,
    /// The store came to it too late.
    Late,
    /// Lost on the way to the store: nothing is kept, the caller hears `Unavailable`.
    BeforePersisting,
    /// The answer is lost on the way back: everything is kept, the caller hears `Unavailable`.
    AfterPersisting,
}

/// An engine whose commits and reads fail as its [`Faults`] say.
#[derive(Clone)]
pub struct Failing {
    inner: Engine,
    faults: Faults,
}

/// The plan of a [`Failing`] engine, kept by the test.
#[derive(Clone, Default)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
}

#[derive(Default)]
struct Plan {
    commits: VecDeque<Fault>,
    reads_fail: bool,
    deaf: bool,
    seen: usize,
}

impl Failing {
    /// Puts the double over an engine.
    pub fn over(inner: Engine) -> (Engine, Faults) {
        let faults = Faults::default();
        (
            Engine::Failing(Arc::new(Self {
                inner,
                faults: faults.clone(),
            })),
            faults,
        )
    }

    pub(crate) fn inner(&self) -> &Engine {
        &self.inner
    }

    pub(crate) async fn query(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        if self.faults.plan().reads_fail {
            return Err(StoreError::Unavailable);
        }
        Box::pin(self.inner.query(query)).await
    }

    pub(crate) async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        match self.faults.take() {
            Fault::Pass => Box::pin(self.inner.commit(batch)).await,
            Fault::Conflict => Err(StoreError::Conflict),
            Fault::Late => Err(StoreError::Late),
            Fault::BeforePersisting => Err(StoreError::Unavailable),
            Fault::AfterPersisting => {
                Box::pin(self.inner.commit(batch)).await?;
                Err(StoreError::Unavailable)
            }
        }
    }

    pub(crate) async fn upkeep(&self, statements: Vec<Statement>) -> Result<u64, StoreError> {
        if self.faults.plan().reads_fail {
            return Err(StoreError::Unavailable);
        }
        Box::pin(self.inner.upkeep(statements)).await
    }

    pub(crate) async fn sequence(&self) -> Result<i64, StoreError> {
        if self.faults.plan().deaf {
            return Err(StoreError::Unavailable);
        }
        Box::pin(self.inner.sequence()).await
    }

    pub(crate) fn beat_age(&self) -> Duration {
        if self.faults.plan().deaf {
            Duration::MAX
        } else {
            self.inner.beat_age()
        }
    }
}

impl Faults {
    /// What happens to the next commit that has no fault planned yet.
    pub fn next(&self, fault: Fault) {
        self.plan().commits.push_back(fault);
    }

    /// What happens to the commit after the next `passing` ones.
    pub fn after(&self, passing: usize, fault: Fault) {
        let mut plan = self.plan();
        plan.commits
            .extend(std::iter::repeat_n(Fault::Pass, passing));
        plan.commits.push_back(fault);
    }

    /// Whether reads (and upkeep) fail.
    pub fn fail_reads(&self, fail: bool) {
        self.plan().reads_fail = fail;
    }

    /// Whether the sequencer cannot be heard.
    pub fn deafen(&self, deaf: bool) {
        self.plan().deaf = deaf;
    }

    /// Forgets what was planned and did not happen yet.
    pub fn forget(&self) {
        self.plan().commits.clear();
    }

    /// How many commits were attempted.
    pub fn commits_seen(&self) -> usize {
        self.plan().seen
    }

    fn take(&self) -> Fault {
        let mut plan = self.plan();
        plan.seen += 1;
        plan.commits.pop_front().unwrap_or(Fault::Pass)
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
