//! One suite over every engine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use countersign_store::{Batch, Engine, EventRow, Query, Statement, StoreError};

fn event(id: &str) -> EventRow {
    EventRow {
        id: id.into(),
        txn: "t".into(),
        kind: "test".into(),
        at: 1,
        ceremony: None,
        session: None,
        person: None,
        device: None,
        client: None,
        body: "{}".into(),
    }
}

#[tokio::test]
async fn smoke() {
    let engine = Engine::open("sqlite::memory:").await.unwrap();
    let put = || {
        Statement::one(
            "INSERT INTO burn (id, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id",
            ["a".into(), 5.into()],
        )
    };
    let done = engine
        .commit(Batch::new(event("1")).write(put()).event(event("2")))
        .await
        .unwrap();
    assert_eq!(done.seq, Some(2));
    assert_eq!(
        engine.commit(Batch::new(event("3")).write(put())).await,
        Err(StoreError::Conflict)
    );
    let rows = engine
        .query(Query::new("SELECT id, expires_at FROM burn", []))
        .await
        .unwrap();
    assert_eq!(rows[0].int(1), Ok(5));
    assert_eq!(engine.events_after(0, 10).await.unwrap().len(), 2);
}
