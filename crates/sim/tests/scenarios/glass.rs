//! Rights without the line, opened by two people, handed in and reviewed: Q10.

use countersign_guard::glass::{Panes, Shut, Why};
use countersign_sim::stage::{GLASS_CLIENT, Shop};
use countersign_wire::{TerminalId, Time};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn said(out: &Output) -> String {
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout.clone()).unwrap().trim().to_owned()
}

fn refused(out: &Output, code: &str) {
    assert!(!out.status.success(), "{out:?}");
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(told.contains(code), "not `{code}`: {told}");
}

/// A till that asks two people: the program, and what it shows them.
fn asking(till: &Path, words: &[&str]) -> (Child, BufReader<std::process::ChildStderr>, String) {
    let mut command: Command = Shop::program(till);
    let mut child = command.args(["glass", "open"]).args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut screen = BufReader::new(child.stderr.take().unwrap());
    let slip = screen.by_ref().lines().map_while(Result::ok).find(|line| line.starts_with("CSG1.")).unwrap_or_default();
    (child, screen, slip)
}

fn answered(mut child: Child, mut screen: BufReader<std::process::ChildStderr>, answers: &[String]) -> Output {
    let mut typed = child.stdin.take().unwrap();
    for answer in answers {
        writeln!(typed, "{answer}").unwrap();
    }
    drop(typed);
    let mut told = Vec::new();
    screen.read_to_end(&mut told).unwrap();
    let mut out = child.wait_with_output().unwrap();
    out.stderr = told;
    out
}

#[tokio::test]
async fn q10_two_people_open_a_listed_right_while_the_line_is_down_and_a_third_reviews_it_afterwards() {
    let shop = Shop::open().await;
    let till = shop.till_at("market").await;
    let run = |words: &[&str]| Shop::program(&till.folder).args(words).output().unwrap();
    // While the line is up. An application that lists nothing gets nothing.
    refused(&run(&["glass", "take", "--client", "till"]), "denied");
    refused(&run(&["glass", "open", "--scope", "discount", "--reason", "r"]), "no grant");
    let sealed: Value = serde_json::from_str(&said(&run(&["--json", "glass", "take", "--client", GLASS_CLIENT]))).unwrap();
    assert_eq!((&sealed["scopes"], &sealed["uses"], &sealed["for_s"]), (&json!(["discount", "refund"]), &json!(2), &json!(60)));
    let keys = shop.keys().await;
    let issuer = shop.stage.issuer.origin().ascii_serialization();
    let id: TerminalId = till.id.clone();
    let panes = |client: &str, terminal: &TerminalId| Panes::new(&issuer, client, terminal.clone(), &keys);

    // The line is down.
    shop.stage.kill();
    let (child, screen, slip) = asking(&till.folder, &["--scope", "discount", "--reason", "the line is down and a customer waits"]);
    // Each phone says what is opened, where, for how long and why; without a yes nothing is signed.
    let no = Shop::program(&shop.stage.dir().join("people/lea")).args(["glass", "approve", &slip]).stdin(Stdio::null()).output().unwrap();
    refused(&no, "Not approved");
    let read = String::from_utf8_lossy(&no.stderr).into_owned();
    for part in ["discount", "Harbour Books till", "1 minute", &till.registered.kept().plate.name, "Market Street", "a customer waits", "1 of 2"] {
        assert!(read.contains(part), "`{part}` is not shown: {read}");
    }
    let lea = said(&shop.device("lea", &["glass", "approve", &slip, "--yes"]));
    let ana = said(&shop.device("ana", &["glass", "approve", &slip, "--yes"]));
    let bundle = said(&answered(child, screen, &["no answer".to_owned(), lea.clone(), ana]));

    // The application at this till believes it, for this scope, here, and for its minute.
    let here = panes(GLASS_CLIENT, &id);
    let open = here.judge(&bundle, "discount").unwrap();
    assert_eq!((open.by[0].name.as_str(), open.by[1].name.as_str(), open.end - open.begin), ("lea", "ana", 60));
    let at = |s: i64| Time::from_seconds(open.begin + s);
    assert!(here.judge_at(&bundle, "discount", at(59)).is_ok());
    assert_eq!(here.judge_at(&bundle, "discount", at(60)), Err(Shut::Over));
    assert_eq!(here.judge_at(&bundle, "discount", at(-5)), Err(Shut::Clock), "a clock that was set back");
    assert_eq!(here.judge(&bundle, "refund"), Err(Shut::NotHere));
    assert_eq!(panes("till", &id).judge(&bundle, "discount"), Err(Shut::NotHere));
    assert_eq!(panes(GLASS_CLIENT, &TerminalId::new(Time(1), [1; 10])).judge(&bundle, "discount"), Err(Shut::NotHere));
    let strangers = Panes::new(&issuer, GLASS_CLIENT, id.clone(), &json!({"keys": []}));
    assert_eq!(strangers.judge(&bundle, "discount"), Err(Shut::NotOpened(Why::Grant)));
    assert_eq!(here.judge(&bundle.replace("\"records\":[\"", "\"records\":[\"x"), "discount"), Err(Shut::NotOpened(Why::Malformed)));
    // The same answer opens nothing a second time, and one person is not two.
    let (child, screen, slip) = asking(&till.folder, &["--scope", "refund", "--reason", "a wrong price"]);
    let bo = said(&shop.device("bo", &["glass", "approve", &slip, "--yes"]));
    refused(&answered(child, screen, &[lea, bo.clone()]), "did not sign this challenge");
    let (child, screen, _) = asking(&till.folder, &["--scope", "refund", "--reason", "a wrong price"]);
    refused(&answered(child, screen, &[bo.clone(), bo]), "it takes two");

    // The line is back. Nothing more is opened once it was handed in, and the next grant is another.
    shop.stage.restart().await;
    let scene = shop.stage.scene().await;
    let taken: Value = serde_json::from_str(&said(&run(&["--json", "glass", "end"]))).unwrap();
    assert_eq!(taken, json!({"handed_in": true, "uses": 1}));
    refused(&run(&["glass", "open", "--scope", "discount", "--reason", "r"]), "no grant");
    let log = scene.log().await;
    let of_till = |kind: &str| log.iter().filter(|l| l.kind == kind && l.body["facts"]["terminal"] == id.as_str()).collect::<Vec<_>>();
    let used = of_till("glass.used");
    assert_eq!((used.len(), of_till("glass.closed").len(), of_till("glass.doubted").len()), (1, 1, 0));
    assert_eq!((&used[0].body["facts"]["scopes"], &used[0].body["facts"]["marks"], used[0].body["client"].as_str()), (&json!(["discount"]), &json!([]), Some(GLASS_CLIENT)));
    assert_eq!(used[0].body["facts"]["opened_by"].as_array().unwrap().len(), 2);

    // It waits for somebody who had no part in it.
    let waiting = shop.uses(&id, false);
    assert_eq!((waiting.len(), &waiting[0]["by"], &waiting[0]["reason"]), (1, &json!(["lea", "ana"]), &json!("the line is down and a customer waits")));
    let which = waiting[0]["id"].as_str().unwrap();
    let review = |by: &str| shop.stage.command(&["glass", "review", which, "--by", by, "--word", "the receipt is there"]);
    for (by, code) in [("ana", "denied"), ("bo", "denied"), ("nobody", "no_such_thing")] {
        assert!(review(by).is_err_and(|told| told.contains(code)), "{by}");
    }
    review("max").unwrap();
    assert!(review("oli").is_err_and(|told| told.contains("decided")));
    assert!(shop.uses(&id, false).is_empty());
    let seen = &shop.uses(&id, true)[0]["review"];
    assert_eq!(seen["word"], "the receipt is there");
    assert!(scene.log().await.iter().any(|l| l.kind == "glass.reviewed" && l.body["person"] == seen["by"]));
    let next: Value = serde_json::from_str(&said(&run(&["--json", "glass", "take", "--client", GLASS_CLIENT]))).unwrap();
    assert_eq!((&next["serial"], shop.state(&id).as_str()), (&json!(2), "active"));
    assert_eq!(said(&run(&["glass", "show"])).lines().next(), Some("discount refund for Harbour Books till: 0 of 2 uses."));
}
