//! Server-sent events (HTML §9.2), as far as one kind of event needs them.

use crate::Fault;
use reqwest::Response;
use std::time::Duration;

/// Longest line kept, bytes: a state is below 200.
const LINE_BYTES: usize = 64 * 1024;

/// An open stream.
pub struct EventStream {
    response: Response,
    silent: Duration,
    reader: Reader,
}

impl EventStream {
    pub(super) fn new(response: Response, silent: Duration) -> EventStream {
        EventStream { response, silent, reader: Reader::default() }
    }

    /// The data of the next event of this name; `None` when the server closed the stream. Silence beyond the
    /// server's tick is a fault.
    pub async fn next(&mut self, name: &str) -> Result<Option<String>, Fault> {
        loop {
            while let Some((kind, data)) = self.reader.next() {
                if kind == name {
                    return Ok(Some(data));
                }
            }
            let chunk = tokio::time::timeout(self.silent, self.response.chunk())
                .await
                .map_err(|_| Fault::Unreachable("the stream went silent".into()))?
                .map_err(|e| Fault::Unreachable(format!("the stream broke: {}", super::spoken(&e))))?;
            match chunk {
                Some(bytes) => self.reader.feed(&bytes)?,
                None => return Ok(None),
            }
        }
    }
}

/// Splits bytes into lines and lines into events.
#[derive(Default)]
struct Reader {
    bytes: Vec<u8>,
    name: String,
    data: Vec<String>,
    ready: std::collections::VecDeque<(String, String)>,
}

impl Reader {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        for byte in bytes {
            match byte {
                b'\n' => {
                    let line = String::from_utf8_lossy(&self.bytes).into_owned();
                    self.bytes.clear();
                    self.line(line.trim_end_matches('\r'));
                }
                other => self.bytes.push(*other),
            }
            if self.bytes.len() > LINE_BYTES {
                return Err(Fault::Unreachable("the stream sent an endless line".into()));
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            if !self.data.is_empty() {
                self.ready.push_back((name, std::mem::take(&mut self.data).join("\n")));
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            "data" => self.data.push(value),
            "event" => self.name = value,
            _ => {}
        }
    }

    fn next(&mut self) -> Option<(String, String)> {
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_the_bytes_are_cut() {
        let text = b": tick\n\nevent: state\r\ndata: {\"a\":1}\r\n\r\ndata:x\ndata: y\n\n";
        for cut in 1..text.len() {
            let mut reader = Reader::default();
            for part in text.chunks(cut) {
                reader.feed(part).unwrap();
            }
            assert_eq!(reader.next().unwrap(), ("state".into(), "{\"a\":1}".into()));
            assert_eq!(reader.next().unwrap(), (String::new(), "x\ny".into()));
            assert_eq!(reader.next(), None);
        }
    }
}
