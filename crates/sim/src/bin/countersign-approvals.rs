//! `countersign-approvals`: a person for conformance suites, who answers at an address what they are asked
//! by name (CIBA).
//!
//! It stands beside the software phone and has its keys; the server is the one that everybody has, and knows
//! nothing of it. It is built with the feature `test-endpoints` alone.
#![forbid(unsafe_code)]

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use clap::Parser;
use countersign_device::keys::Folder;
use countersign_device::{Fault, Phone, Transport};
use countersign_wire::CeremonyId;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Where it answers.
const PATH: &str = "/test-endpoints/answer";

/// Answers requests of a test as the person of a software phone: GET /test-endpoints/answer?auth_req_id=…&action=allow|deny
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Directory of the phone's keys, as `countersign-device enrol` made it
    #[arg(long, env = "COUNTERSIGN_DEVICE_STATE", value_name = "DIR")]
    state: PathBuf,
    /// Port of this machine
    #[arg(long, default_value_t = 7330)]
    port: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Allow,
    Deny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    auth_req_id: String,
    action: Action,
}

async fn act(phone: &Phone, question: &Question) -> Result<&'static str, Fault> {
    // The id is the ceremony's name and a secret; the name is enough for whom it is offered to.
    let name = question.auth_req_id.split('.').next().unwrap_or_default();
    let cid: CeremonyId = name.parse().map_err(|_| Fault::Usage("no id of a request".into()))?;
    match question.action {
        Action::Deny => phone.refuse_unseen(&cid, false).await.map(|_| "refused"),
        Action::Allow => {
            let checked = phone.take(&cid).await?;
            if checked.asks_digits_here() {
                return Err(Fault::Usage("digits are asked for: register the client without `binding_digits`".into()));
            }
            phone.approve(&checked).await.map(|_| "approved")
        }
    }
}

async fn answer(State(phone): State<Arc<Phone>>, Query(question): Query<Question>) -> (StatusCode, Json<Value>) {
    match act(&phone, &question).await {
        Ok(done) => (StatusCode::OK, Json(json!({ "state": done }))),
        Err(fault) => (StatusCode::CONFLICT, Json(json!({ "error": fault.to_string() }))),
    }
}

async fn run(arguments: Arguments) -> Result<(), Fault> {
    let local = |e: std::io::Error| Fault::Local(format!("cannot listen: {e}"));
    let phone = Arc::new(Phone::load(Folder::open(&arguments.state)?, Transport::new(false))?);
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let socket = tokio::net::TcpListener::bind(at).await.map_err(local)?;
    let at = socket.local_addr().map_err(local)?;
    let _ = writeln!(std::io::stdout(), "http://{at}{PATH}?auth_req_id={{auth_req_id}}&action={{action}}");
    axum::serve(socket, Router::new().route(PATH, get(answer)).with_state(phone)).await.map_err(local)
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
        }
    };
    let ran = tokio::runtime::Runtime::new().map_err(|e| Fault::Local(format!("cannot start: {e}"))).and_then(|r| r.block_on(run(arguments)));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "{fault}");
            ExitCode::from(fault.exit_code())
        }
    }
}
