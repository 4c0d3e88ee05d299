//! What pages fetch: scripts, the style, the catalogue and the vendored code reader, embedded at build time.

use flate2::{Compression, write::GzEncoder};
use rust_embed::{EmbeddedFile, RustEmbed};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{LazyLock, OnceLock};

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

/// What each script imports.
static IMPORTED: LazyLock<HashMap<String, Vec<String>>> = LazyLock::new(|| Scripts::iter().map(|name| (name.to_string(), closure(&name))).collect());
/// Each asset as gzip.
static ZIPPED: LazyLock<HashMap<String, Vec<u8>>> = LazyLock::new(|| {
    let zip = |bytes: &[u8]| {
        let mut zip = GzEncoder::new(Vec::new(), Compression::best());
        zip.write_all(bytes).and_then(|()| zip.finish()).ok()
    };
    paths().into_iter().filter_map(|path| zip(&file(&path)?.0).map(|bytes| (path, bytes))).collect()
});

/// Makes what is made once for everybody, so that no first visitor waits for it.
pub fn prepare() {
    LazyLock::force(&IMPORTED);
    LazyLock::force(&ZIPPED);
}

/// Every module that a page's `script` and its `own` (empty: none) import, by others, too: paths below the assets' root, so that the page fetches
/// them together. Without that a slow line is waited for once more at every level of imports.
pub fn preloads(script: &str, own: &str) -> Vec<&'static str> {
    let of = |entry| IMPORTED.get(entry).into_iter().flatten().map(String::as_str);
    let mut paths: Vec<&str> = of(script).skip(1).collect();
    for path in of(own) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

/// A script, and all that it imports in the order in which that is met
fn closure(entry: &str) -> Vec<String> {
    let mut met = vec![format!("script/{entry}")];
    let mut next = 0;
    while let Some(imported) = met.get(next).map(|path| imports(path)) {
        next += 1;
        for path in imported {
            if !met.contains(&path) {
                met.push(path);
            }
        }
    }
    met
}

/// What a module of ours imports as soon as it is read
fn imports(path: &str) -> Vec<String> {
    let Some((bytes, _)) = file(path) else { return Vec::new() };
    let text = String::from_utf8_lossy(&bytes);
    let named = text.split(" from '").skip(1).filter_map(|rest| rest.split('\'').next());
    let found = named.filter_map(|name| match name.strip_prefix("./") {
        Some(near) => Some(format!("{}/{near}", path.rsplit_once('/')?.0)),
        None => name.strip_prefix("../").map(str::to_owned),
    });
    found.filter(|path| file(path).is_some()).collect()
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
        let mut text = String::new();
        for path in paths() {
            if let Some((bytes, ..)) = file(&path) {
                let _ = writeln!(text, "{path} {}", hex(&countersign_wire::mac::h(&bytes)));
            }
        }
        hex(countersign_wire::mac::h(text.as_bytes()).split_at(16).0)
    })
}

/// The paths of all assets, in order
fn paths() -> Vec<String> {
    let mut all: Vec<String> = Scripts::iter().map(|p| format!("script/{p}")).collect();
    all.extend(Vendored::iter().map(|p| format!("vendor/{p}")));
    all.extend(["style.css", "catalogue/en.json", "mark.svg", "manifest.json"].map(str::to_owned));
    all.sort();
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The asset at `path` as gzip (RFC 1952), made once for all of them. Only what everybody may read is compressed: a page that carries secrets
/// would tell them by its length.
pub fn zipped(path: &str) -> Option<&'static [u8]> {
    ZIPPED.get(unmarked(path)).map(Vec::as_slice)
}

fn unmarked(path: &str) -> &str {
    path.strip_prefix(mark()).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path)
}

/// The asset at `path` below `/assets/`, with or without the release's mark before it: its bytes, content
/// type and entity tag. `None` for anything that is not embedded; no path leads to a file system.
pub fn asset(path: &str) -> Option<(Cow<'static, [u8]>, &'static str, String)> {
    let path = unmarked(path);
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
    fn zipped_it_is_the_same_and_much_less() {
        let (mut whole, mut less) = (0, 0);
        for path in paths() {
            let (bytes, zipped) = (asset(&path).unwrap().0, zipped(&format!("{}/{path}", mark())).unwrap());
            let mut back = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(zipped), &mut back).unwrap();
            assert_eq!(back, *bytes, "{path}");
            (whole, less) = (whole + bytes.len(), less + zipped.len());
        }
        assert!(less * 5 < whole * 2, "{less} of {whole}");
        assert!(zipped("../Cargo.toml").is_none());
    }

    #[test]
    fn whatever_is_imported_is_fetched_ahead() {
        let ahead = preloads("phone.js", "enrol.js");
        for path in ["script/enrol.js", "script/pause.js", "script/bytes.js", "vendor/qr/index.js"] {
            assert_eq!(ahead.iter().filter(|p| **p == path).count(), 1, "{path} in {ahead:?}");
        }
        assert!(!ahead.contains(&"script/phone.js"), "the page names it already");
        for path in ahead.iter().chain(&preloads("kiosk.js", "")) {
            assert!(asset(path).is_some(), "{path}");
            for imported in imports(path) {
                assert!(asset(&imported).is_some(), "{path} imports {imported}");
            }
        }
        assert!(preloads("", "").is_empty());
    }

    #[test]
    fn what_the_phones_page_goes_on_with_is_what_it_fetches_ahead() {
        let (bytes, _) = file("script/phone.js").unwrap();
        let text = String::from_utf8(bytes.into_owned()).unwrap();
        let later: Vec<&str> = text.split("import('./").skip(1).map(|rest| rest.split('\'').next().unwrap()).collect();
        assert!(later.len() >= 6, "{later:?}");
        let html: String = crate::pages::tests::phones().concat();
        // Phones that a shift shares have one more, and nobody else waits for it.
        for name in later.into_iter().filter(|name| *name != "seats.js") {
            assert!(html.contains(&format!("modulepreload\" href=\"{}/script/{name}\"", root())), "{name}");
        }
    }
}
