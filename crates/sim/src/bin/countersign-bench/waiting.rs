//! Screens that wait, each with a ceremony and a stream of its own. The streams are held by processes beside this one: one process may
//! not have as many files open as the server and the screens together.

use super::process::{kernel, memory, together};
use super::sign_in::CLIENTS;
use countersign_sim::stage::{Scene, place};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Screens that one process holds.
const EACH: usize = 9_500;
/// Screens that are opened at the same time.
const LANES: usize = 64;

/// Memory for one screen that waits.
pub struct Waiting {
    /// How many there were.
    pub screens: usize,
    /// Of the server's process, KiB.
    pub user_kib: f64,
    /// Of the kernel for the server's end of the line, KiB.
    pub kernel_kib: f64,
}

/// Opens `screens` ceremonies, lets a page wait for each, and looks at what that takes.
pub async fn measure(scene: &Scene<'_>, screens: usize) -> Waiting {
    let pid = scene.stage.pid().unwrap();
    let lanes = (0..LANES).map(|lane| async move {
        let mut requests = Vec::new();
        for n in (lane..screens).step_by(LANES) {
            let attempt = scene.open(&format!("bench-{}", n % CLIENTS), "openid profile", &place()).await;
            let url = scene.stage.issuer.join(&format!("/ceremonies/{}/events", attempt.ceremony.cid)).unwrap();
            let cookies = attempt.terminal.http.jar().header(&url).unwrap_or_default();
            requests.push(format!("{} {} {cookies}\n", url.path(), attempt.ceremony.wait_key()));
        }
        requests
    });
    let requests = together(lanes.collect()).await.concat();
    let (user, kernel_before) = (memory(pid), kernel());
    let mut children = Vec::new();
    for part in requests.chunks(EACH) {
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--hold", &scene.stage.issuer.port().unwrap().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let pipe = child.stdin.as_mut().unwrap();
        pipe.write_all(part.concat().as_bytes()).await.unwrap();
        pipe.write_all(b"\n").await.unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut said).await.unwrap();
        assert_eq!(said.trim(), part.len().to_string(), "streams that wait");
        children.push(child);
    }
    let count = requests.len() as f64;
    // Each line has two ends on this machine.
    let told = Waiting {
        screens: requests.len(),
        user_kib: (memory(pid) - user) * 1024.0 / count,
        kernel_kib: (kernel() - kernel_before) / count / 2.0,
    };
    for mut child in children {
        child.kill().await.unwrap();
    }
    told
}

/// Holds the streams named on standard input, up to an empty line; says how many there are, and waits to be ended.
pub async fn hold(port: u16) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut open = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap().filter(|l| !l.is_empty()) {
        let mut words = line.splitn(3, ' ');
        let (path, key, cookies) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost:{port}\r\nauthorization: Ceremony {key}\r\ncookie: {cookies}\r\naccept: text/event-stream\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains("event: state") {
            let mut part = [0; 2_048];
            let n = stream.read(&mut part).await.unwrap();
            assert!(n > 0, "no stream: {}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&part[..n]);
        }
        open.push(stream);
    }
    println!("{}", open.len());
    while lines.next_line().await.unwrap().is_some() {}
}
