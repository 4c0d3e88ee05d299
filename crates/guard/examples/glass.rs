//! An application at a till that takes what two people opened while the line is down.
//!
//! ```text
//! ISSUER=https://id.example CLIENT=till TERMINAL=01931d2b-7a00-7000-8000-000000000003 JWKS=jwks.json \
//!   cargo run -p countersign-guard --example glass -- discount < bundle.json
//! ```
//!
//! `jwks.json` is the application's own copy of `ISSUER/jwks`, fetched every day while the line is up; the bundle is what
//! `countersign-device glass open` printed. A real application keeps one `Panes` and asks at every use.
#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::panic, reason = "an example reads its settings where it stands")]

use countersign_guard::glass::Panes;

fn main() {
    let setting = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("`{name}` is not set"));
    let keys = std::fs::read_to_string(setting("JWKS")).expect("a key set");
    let keys = serde_json::from_str(&keys).expect("a key set as JSON");
    let terminal = setting("TERMINAL").parse().expect("a terminal's id");
    let panes = Panes::new(&setting("ISSUER"), &setting("CLIENT"), terminal, &keys);
    let bundle = std::io::read_to_string(std::io::stdin()).expect("a bundle");
    let scope = std::env::args().nth(1).expect("a scope");
    match panes.judge(&bundle, &scope) {
        Ok(open) => println!("`{scope}` is open until {}, by {} and {}: {}", open.end, open.by[0].name, open.by[1].name, open.reason),
        Err(shut) => println!("`{scope}` is not open here: {shut}"),
    }
}
