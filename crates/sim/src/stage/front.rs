//! A front before several nodes: it stands at the issuer's address and leads every connection to one of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Settings, Stage};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// Two nodes on one database, and the front before them.
pub struct Nodes {
    /// One; its commands and its first administrator serve both.
    pub a: Stage,
    /// The other.
    pub b: Stage,
    to: watch::Sender<u16>,
}

impl Nodes {
    /// Starts both, with an administrator. Connections go to the first until they are turned.
    pub async fn set(database: &str, more: &str) -> Nodes {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://localhost:{}", socket.local_addr().unwrap().port());
        let to = watch::Sender::new(0);
        tokio::spawn(lead(socket, to.clone()));
        let of = Settings { database: Some(database.to_owned()), issuer: Some(issuer), more: more.to_owned(), ..Settings::default() };
        let a = Stage::set(of.clone()).await;
        to.send_replace(a.port);
        a.enrol_administrator().await;
        Nodes { b: Stage::set(of).await, a, to }
    }

    /// From now on everybody is led to this node; connections to the other end, and callers have seen that.
    pub async fn turn(&self, node: &Stage) {
        self.to.send_replace(node.port);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }

    /// The address of a node itself, behind the front.
    pub fn address(node: &Stage) -> Url {
        Url::parse(&format!("http://127.0.0.1:{}/", node.port)).unwrap()
    }
}

async fn lead(socket: TcpListener, to: watch::Sender<u16>) {
    while let Ok((mut caller, _)) = socket.accept().await {
        let mut to = to.subscribe();
        tokio::spawn(async move {
            let port = *to.borrow_and_update();
            let Ok(mut node) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut caller, &mut node) => {}
                _ = to.changed() => {}
            }
        });
    }
}
