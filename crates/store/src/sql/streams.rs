use super::{Store, Write, from_json, json};
use crate::event::Numbered;
use crate::{Query, Row, Statement, StoreError, Value};
use countersign_trust::shared::stream::{Progress, Status, Stream, StreamFacts};
use countersign_wire::{ClientId, StreamId, Time};

/// A stream with the sealed authorization header of its receiver.
#[derive(Clone, Debug)]
pub struct StoredStream {
    /// The stream.
    pub stream: Stream,
    /// The header, sealed; empty where there is none.
    pub sealed: Vec<u8>,
}

macro_rules! stream_query {
    ($where:literal) => {
        concat!(
            "SELECT id, version, receiver, status, reason, done, taken, notes, asked_at, moved_at, body, sealed FROM stream ",
            $where
        )
    };
}

fn stream(row: &Row) -> Result<StoredStream, StoreError> {
    let facts: StreamFacts = from_json(row, 10)?;
    Ok(StoredStream {
        stream: Stream {
            id: row.parsed(0)?,
            version: row.int(1)?,
            receiver: row.parsed(2)?,
            status: Status::parse(row.text(3)?).ok_or_else(|| row.corrupt(3))?,
            reason: row.opt_text(4)?.map(str::to_owned),
            done: row.int(5)?,
            taken: from_json(row, 6)?,
            notes: from_json(row, 7)?,
            asked_at: row.opt_int(8)?.map(Time),
            moved_at: Time(row.int(9)?),
            facts,
        },
        sealed: row.bytes(11)?.to_vec(),
    })
}

impl Store {
    /// A stream.
    pub async fn stream(&self, id: &StreamId) -> Result<Option<StoredStream>, StoreError> {
        let q = Query::new(stream_query!("WHERE id = $1"), [id.as_str().into()]);
        self.one(q, stream).await
    }
    /// The streams of a receiver, oldest first.
    pub async fn streams_of(&self, receiver: &ClientId) -> Result<Vec<StoredStream>, StoreError> {
        let q = Query::new(stream_query!("WHERE receiver = $1 ORDER BY id LIMIT 64"), [receiver.as_str().into()]);
        self.many(q, stream).await
    }
    /// Every stream: a handful for each receiver.
    pub async fn streams(&self) -> Result<Vec<StoredStream>, StoreError> {
        let q = Query::new(stream_query!("ORDER BY id LIMIT 10000"), []).long();
        self.many(q, stream).await
    }
    /// Lines of the log between two numbers that may be told to receivers, in order. The kinds are
    /// those of `countersign_trust::shared::caep::KINDS`.
    pub async fn tellable(&self, after: i64, until: i64, limit: i64) -> Result<Vec<Numbered>, StoreError> {
        let q = Query::new(
            "SELECT id, txn, kind, at, ceremony, session, person, device, client, body, seq FROM event \
             WHERE seq > $1 AND seq <= $2 AND kind IN ('session.opened', 'session.resumed', 'session.raised', \
             'session.judged', 'session.ended', 'device.enrolled', 'device.rebound', 'device.changed', \
             'signal.raised', 'signal.cleared', 'server.restored') ORDER BY seq LIMIT $3",
            [after.into(), until.into(), limit.into()],
        );
        self.many(q, Numbered::read).await
    }
    /// Takes a stream's pushes on for this node until then; false where another node has them. No
    /// decision rests on it: two nodes that push the same only tell it twice.
    pub async fn hold_stream(&self, id: &StreamId, node: &str, now: Time, until: Time) -> Result<bool, StoreError> {
        let s = Statement::any(
            "UPDATE stream SET holder = $2, held_until = $4 WHERE id = $1 AND (holder = $2 OR held_until < $3)",
            [id.as_str().into(), node.into(), now.0.into(), until.0.into()],
        );
        self.engine.upkeep(vec![s]).await.map(|rows| rows == 1)
    }
    /// A stream is further, and only lines were passed that are nothing to it: no decision, no record.
    pub async fn stream_passed(&self, stream: &Stream, done: i64) -> Result<(), StoreError> {
        let s = Statement::any(
            "UPDATE stream SET done = $3 WHERE id = $1 AND version = $2 AND done < $3",
            [stream.id.as_str().into(), stream.version.into(), done.into()],
        );
        self.engine.upkeep(vec![s]).await.map(|_| ())
    }
}

impl Write {
    /// A new stream.
    pub fn stream_made(s: &Stream, sealed: &[u8]) -> Write {
        Write(Statement::one(
            "INSERT INTO stream (id, version, receiver, status, reason, done, taken, notes, asked_at, moved_at, \
             holder, held_until, body, sealed) VALUES ($1, 1, $2, $3, NULL, $4, '[]', '[]', NULL, $5, '', 0, $6, $7)",
            [
                s.id.as_str().into(),
                s.receiver.as_str().into(),
                s.status.as_str().into(),
                s.done.into(),
                s.moved_at.0.into(),
                json(&s.facts).into(),
                sealed.to_vec().into(),
            ],
        ))
    }
    /// A receiver sets its stream, or its stream is set: everything but how far it is.
    pub fn stream_set(from: &Stream, to: &Stream, sealed: &[u8]) -> Write {
        Write(Statement::one(
            "UPDATE stream SET status = $3, reason = $4, notes = $5, asked_at = $6, moved_at = $7, body = $8, \
             sealed = $9, done = $10, taken = $11, version = version + 1 WHERE id = $1 AND version = $2",
            [
                from.id.as_str().into(),
                from.version.into(),
                to.status.as_str().into(),
                to.reason.clone().into(),
                json(&to.notes).into(),
                to.asked_at.map(|t| t.0).into(),
                to.moved_at.0.into(),
                json(&to.facts).into(),
                sealed.to_vec().into(),
                to.done.into(),
                json(&to.taken).into(),
            ],
        ))
    }
    /// A receiver took something.
    pub fn stream_taken(from: &Stream, to: &Progress, now: Time) -> Write {
        let values: Vec<Value> = vec![
            from.id.as_str().into(),
            from.version.into(),
            to.done.into(),
            json(&to.taken).into(),
            json(&to.notes).into(),
            now.0.into(),
        ];
        Write(Statement::one(
            "UPDATE stream SET done = $3, taken = $4, notes = $5, moved_at = $6, version = version + 1 \
             WHERE id = $1 AND version = $2",
            values,
        ))
    }
    /// A stream is deleted.
    pub fn stream_deleted(s: &Stream) -> Write {
        Write(Statement::one(
            "DELETE FROM stream WHERE id = $1 AND version = $2",
            [s.id.as_str().into(), s.version.into()],
        ))
    }
}

#[cfg(test)]
mod tests {
    use countersign_trust::shared::caep::KINDS;

    #[test]
    fn the_text_names_exactly_the_kinds_that_may_be_told() {
        let source = include_str!("streams.rs");
        let list = source.split("kind IN (").nth(1).and_then(|t| t.split(')').next()).unwrap();
        let named: Vec<&str> = list.split('\'').skip(1).step_by(2).collect();
        assert_eq!(named, KINDS);
    }
}
