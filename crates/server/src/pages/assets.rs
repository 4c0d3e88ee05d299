//! What pages fetch: scripts, the style, the catalogue and the vendored code reader, embedded at build time.

use rust_embed::{EmbeddedFile, RustEmbed};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::OnceLock;

/// `Cache-Control` for what [`asset`] returns: a new release has new addresses.
pub const FOR_EVER: &str = "public, max-age=31536000, immutable";

#[derive(RustEmbed)]
#[folder = "../../web/script"]
struct Scripts;

#[derive(RustEmbed)]
#[folder = "../../web/vendor"]
struct Vendored;

const STYLE: &[u8] = include_bytes!("../../../../web/style.css");
const CATALOGUE: &[u8] = include_bytes!("../../../../web/catalogue/en.json");
const MARK: &[u8] = include_bytes!("../../../../web/mark.svg");
const MANIFEST: &[u8] = include_bytes!("../../../../web/manifest.json");

/// Modules that each entry needs at once, so that the browser asks for them together.
const COMMON: &[&str] = &["bytes", "call", "dom", "dpop", "icons", "keys", "say", "shelf"];
const TERMINAL: &[&str] = &[
    "ceremony", "code-card", "countdown", "digits", "frame", "go", "passkey", "qr", "stream", "terminal", "terminal-views",
];
const PHONE: &[&str] = &[
    "approve", "countdown", "describe", "device", "digits", "frame", "jcs", "offers", "page", "passkey", "qr", "refusals",
    "refused", "scan", "statement", "user-code",
];
const KIOSK: &[&str] = &["beat", "ceremony", "code-card", "countdown", "digits", "frame", "qr", "scan", "stream", "terminal", "terminal-views", "watch"];
const SESSION: &[&str] = &["countdown", "frame"];

/// Addresses, below the assets' root, that a page with this entry script should fetch ahead.
pub fn preloads(entry: &str) -> Vec<String> {
    let own = match entry {
        "sign-in.js" => TERMINAL,
        "phone.js" => PHONE,
        "kiosk.js" => KIOSK,
        "session.js" => SESSION,
        _ => return Vec::new(),
    };
    let mut paths: Vec<String> = COMMON.iter().chain(own).map(|name| format!("script/{name}.js")).collect();
    if own != SESSION {
        paths.push("vendor/qr/index.js".to_owned());
    }
    paths
}

/// `/assets/{mark}`: where this release's assets are.
pub fn root() -> &'static str {
    static ROOT: OnceLock<String> = OnceLock::new();
    ROOT.get_or_init(|| format!("/assets/{}", mark()))
}

/// Half of a SHA-256 over the names and digests of all assets.
fn mark() -> &'static str {
    static MARK: OnceLock<String> = OnceLock::new();
    MARK.get_or_init(|| {
        let mut all: Vec<String> = Scripts::iter().map(|p| format!("script/{p}")).collect();
        all.extend(Vendored::iter().map(|p| format!("vendor/{p}")));
        all.extend(["style.css", "catalogue/en.json", "mark.svg", "manifest.json"].map(str::to_owned));
        all.sort();
        let mut text = String::new();
        for path in all {
            if let Some((bytes, ..)) = file(&path) {
                let _ = writeln!(text, "{path} {}", hex(&countersign_wire::mac::h(&bytes)));
            }
        }
        hex(countersign_wire::mac::h(text.as_bytes()).split_at(16).0)
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The asset at `path` below `/assets/`, with or without the release's mark before it: its bytes, content
/// type and entity tag. `None` for anything that is not embedded; no path leads to a file system.
pub fn asset(path: &str) -> Option<(Cow<'static, [u8]>, &'static str, String)> {
    let path = path.strip_prefix(mark()).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path);
    let (bytes, kind) = file(path)?;
    let tag = format!("\"{}\"", hex(countersign_wire::mac::h(&bytes).split_at(16).0));
    Some((bytes, kind, tag))
}

fn file(path: &str) -> Option<(Cow<'static, [u8]>, &'static str)> {
    const TEXT: &str = "text/plain; charset=utf-8";
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    let of = |found: EmbeddedFile| (found.data, if path.ends_with(".js") { SCRIPT } else { TEXT });
    match path {
        "style.css" => Some((STYLE.into(), "text/css; charset=utf-8")),
        "catalogue/en.json" => Some((CATALOGUE.into(), "application/json")),
        "mark.svg" => Some((MARK.into(), "image/svg+xml")),
        "manifest.json" => Some((MANIFEST.into(), "application/manifest+json")),
        _ => match path.split_once('/')? {
            ("script", name) => Scripts::get(name).map(of),
            ("vendor", name) => Vendored::get(name).map(of),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn assets_are_found_with_and_without_the_mark() {
        let (bytes, kind, tag) = asset("style.css").unwrap();
        assert!(bytes.starts_with(b"/*"));
        assert_eq!(kind, "text/css; charset=utf-8");
        let marked = asset(&format!("{}/style.css", mark())).unwrap();
        assert_eq!(marked.2, tag);
        assert_eq!(asset("script/sign-in.js").unwrap().1, "text/javascript; charset=utf-8");
        assert_eq!(asset("vendor/qr/LICENSE").unwrap().1, "text/plain; charset=utf-8");
        for bad in ["", "style.css/", "../Cargo.toml", "script/../style.css", "test/frame.test.js", "script/none.js"] {
            assert!(asset(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn everything_preloaded_is_there() {
        for entry in ["sign-in.js", "phone.js", "session.js", "kiosk.js"] {
            for path in preloads(entry) {
                assert!(asset(&path).is_some(), "{path}");
            }
        }
    }
}
