//! The pages: askama templates for what is there before scripts run, and everything that scripts and
//! styles need, embedded from `web/`. No page carries inline script or style; texts come from one catalogue.
//!
//! 1. A handler fills a plain struct and gets a page back; it sends it with [`CSP`] and [`PERMISSIONS`].
//! 2. A page names its assets under `/assets/{mark}/…`, where `mark` is a hash over all of them, so they
//!    may be cached for ever ([`FOR_EVER`]) and a new release is a new address.

mod assets;
mod catalogue;

pub use assets::{FOR_EVER, asset, preloads, prepare, zipped};
pub use catalogue::{LANGUAGE, around, text};

use askama::Template;
use assets::root;

macro_rules! csp {
    ($types:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; trusted-types ",
            $types
        )
    };
}

/// Content-Security-Policy of every page: own scripts and styles only, nothing inline, no sink that parses
/// text into code, nobody may frame it.
pub const CSP: &str = csp!("'none'");

/// The same of the one page that may register [`worker`]: one policy, which makes that one address whatever it is given
/// (`web/script/tell.js`).
pub const CSP_TELLING: &str = csp!("worker");

const WORKER: &str = include_str!("../../../../web/worker.js");

/// Permissions-Policy of every page: the camera and passkeys for this origin, nothing for anybody else.
pub const PERMISSIONS: &str = "camera=(self), publickey-credentials-get=(self), publickey-credentials-create=(self), \
     clipboard-write=(self), microphone=(), geolocation=(), payment=(), usb=()";

/// What the sign-in page on a terminal must know.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The bound authorization request.
    pub flow: String,
    /// DPoP nonce for the first call.
    pub nonce: String,
    /// Registered name of the client.
    pub client_name: String,
    /// Name of the operator.
    pub organisation: String,
    /// Host of the issuer, as people type it.
    pub host: String,
    /// Whether a passkey on this screen is offered.
    pub passkey: bool,
}

/// Which of the phone's shells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhoneKind {
    /// `/q`: scan, then approve or refuse.
    Scan,
    /// `/code`: the same, with a typed code.
    Code,
    /// `/phone`: sessions, devices, activity.
    Overview,
    /// `/enrol`: invitation, or the way back for a browser that forgot its key.
    Enrol,
    /// `/badge`: a live code that a registered terminal reads.
    Badge,
    /// `/terminal`: a screen joins with a key of its own.
    Terminal,
    /// `/add`: a new device shows a code.
    Add,
    /// `/recover`: the way back without a device.
    Recover,
}

impl PhoneKind {
    /// The word that the script goes by.
    pub fn as_str(self) -> &'static str {
        match self {
            PhoneKind::Scan => "q",
            PhoneKind::Code => "code",
            PhoneKind::Overview => "phone",
            PhoneKind::Enrol => "enrol",
            PhoneKind::Badge => "badge",
            PhoneKind::Terminal => "terminal",
            PhoneKind::Add => "add",
            PhoneKind::Recover => "recover",
        }
    }

    /// What `phone.js` goes on with, where that is a file of its own.
    fn own(self) -> &'static str {
        match self {
            PhoneKind::Scan | PhoneKind::Code => "",
            PhoneKind::Overview => "overview.js",
            PhoneKind::Enrol => "enrol.js",
            PhoneKind::Badge => "badge.js",
            PhoneKind::Terminal => "register.js",
            PhoneKind::Add => "add.js",
            PhoneKind::Recover => "recover.js",
        }
    }

    fn title(self) -> &'static str {
        match self {
            PhoneKind::Scan => "phone.title.q",
            PhoneKind::Code => "phone.title.code",
            PhoneKind::Overview => "phone.title.phone",
            PhoneKind::Enrol => "phone.title.enrol",
            PhoneKind::Badge => "phone.title.badge",
            PhoneKind::Terminal => "phone.title.terminal",
            PhoneKind::Add => "phone.title.add",
            PhoneKind::Recover => "phone.title.recover",
        }
    }
}

/// The session that lives on this terminal.
#[derive(Clone, Debug)]
pub struct Live {
    /// Name of its person.
    pub name: String,
    /// Seconds left.
    pub left_s: i64,
    /// Seconds from its opening to its end.
    pub whole_s: i64,
}

/// What an error page says. Both texts are keys of the catalogue.
#[derive(Clone, Debug)]
pub struct ErrorPage<'a> {
    /// Name of the operator.
    pub organisation: &'a str,
    /// Key of the headline, e.g. `error.headline`.
    pub headline: &'a str,
    /// Key of the sentence under it, e.g. `error.help`.
    pub body: &'a str,
    /// `R-481-720-936`, where there is one.
    pub reference: Option<&'a str>,
    /// Where "Start again" leads; without it there is no button.
    pub again: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInTemplate<'a> {
    assets: &'a str,
    script: &'static str,
    organisation: &'a str,
    page: &'a SignIn,
}

#[derive(Template)]
#[template(path = "phone.html")]
struct PhoneTemplate<'a> {
    assets: &'a str,
    script: &'static str,
    own: &'static str,
    organisation: &'a str,
    host: &'a str,
    kind: &'static str,
    title: &'static str,
}

#[derive(Template)]
#[template(path = "session.html")]
struct SessionTemplate<'a> {
    assets: &'a str,
    script: &'static str,
    organisation: &'a str,
    nonce: &'a str,
    live: Option<&'a Live>,
}

#[derive(Template)]
#[template(path = "operator.html")]
struct OperatorTemplate<'a> {
    assets: &'a str,
    script: &'static str,
    organisation: &'a str,
    nonce: &'a str,
}

#[derive(Template)]
#[template(path = "kiosk.html")]
struct KioskTemplate<'a> {
    assets: &'a str,
    script: &'static str,
    organisation: &'a str,
    host: &'a str,
    nonce: &'a str,
    live: Option<&'a Live>,
    start: Option<&'a str>,
    without_phone: bool,
}

#[derive(Template)]
#[template(path = "logout.html")]
struct LogoutTemplate<'a> {
    assets: &'a str,
    script: &'static str,
    organisation: &'a str,
    client: Option<&'a str>,
    fields: &'a [(String, String)],
}

#[derive(Template)]
#[template(path = "logged_out.html")]
struct LoggedOutTemplate<'a> {
    assets: &'a str,
    script: &'static str,
    organisation: &'a str,
    next: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "silent.html")]
struct SilentTemplate<'a> {
    assets: &'a str,
    script: &'static str,
    organisation: &'a str,
    flow: &'a str,
    nonce: &'a str,
}

#[derive(Template)]
#[template(path = "form_post.html")]
struct FormPostTemplate<'a> {
    assets: &'a str,
    script: &'static str,
    organisation: &'a str,
    to: &'a str,
    fields: &'a [(String, String)],
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorTemplate<'a> {
    assets: &'a str,
    script: &'static str,
    organisation: &'a str,
    headline: &'a str,
    body: &'a str,
    reference: Option<&'a str>,
    again: Option<&'a str>,
}

/// A template over strings can only fail by running out of memory; a page of one sentence is then enough.
fn rendered(template: &impl Template) -> String {
    template.render().unwrap_or_else(|_| text("error.headline").to_owned())
}

/// `GET /sign-in/{flow}`.
pub fn sign_in(page: &SignIn) -> String {
    rendered(&SignInTemplate { assets: root(), script: "sign-in.js", organisation: &page.organisation, page })
}

/// One of the phone's shells: the same bytes for everybody.
pub fn phone_shell(kind: PhoneKind, organisation: &str, host: &str) -> String {
    let (kind, own, title) = (kind.as_str(), kind.own(), kind.title());
    rendered(&PhoneTemplate { assets: root(), script: "phone.js", own, organisation, host, kind, title })
}

/// `GET /worker.js`: what wakes a phone whose page nobody looks at, with the words that it says.
pub fn worker() -> String {
    let words = serde_json::json!({ "title": text("tell.notice.title"), "body": text("tell.notice.body"), "lang": LANGUAGE });
    format!("const WORDS = {words};\n{WORKER}")
}

/// `GET /session`: what lives on this terminal, or that nothing does.
pub fn session(organisation: &str, nonce: &str, live: Option<&Live>) -> String {
    let script = if live.is_some() { "session.js" } else { "" };
    rendered(&SessionTemplate { assets: root(), script, organisation, nonce, live })
}

/// `GET /operator`: the same bytes for everybody, but for the nonce.
pub fn operator(organisation: &str, nonce: &str) -> String {
    rendered(&OperatorTemplate { assets: root(), script: "operator.js", organisation, nonce })
}

/// `GET /kiosk`: the idle screen of a registered terminal, or whose it is now; `start` is where their application begins;
/// whether somebody may be let in there without a phone.
pub fn kiosk(organisation: &str, host: &str, nonce: &str, live: Option<&Live>, start: Option<&str>, without_phone: bool) -> String {
    rendered(&KioskTemplate { assets: root(), script: "kiosk.js", organisation, host, nonce, live, start, without_phone })
}

/// `GET /logout`: asks first. `fields` are sent back as they are, with `confirm=yes`.
pub fn logout_confirm(organisation: &str, client: Option<&str>, fields: &[(String, String)]) -> String {
    rendered(&LogoutTemplate { assets: root(), script: "", organisation, client, fields })
}

/// After `POST /logout`. The page goes on to `next` by itself: a redirect would be stopped by `form-action`.
pub fn logged_out(organisation: &str, next: Option<&str>) -> String {
    rendered(&LoggedOutTemplate { assets: root(), script: "leave.js", organisation, next })
}

/// `GET /sign-in/{flow}` where nobody may be asked (`prompt=none`): it shows the session's key, and goes on.
pub fn silent(organisation: &str, flow: &str, nonce: &str) -> String {
    rendered(&SilentTemplate { assets: root(), script: "silent.js", organisation, flow, nonce })
}

/// Sends `fields`, and what stands behind `#` in its address, to `to` by itself (OAuth 2.0 Form Post Response
/// Mode). The policy of this page allows that address and no other.
pub fn form_post(organisation: &str, to: &str, fields: &[(String, String)]) -> String {
    rendered(&FormPostTemplate { assets: root(), script: "answer.js", organisation, to, fields })
}

/// Something went wrong before a page could say it itself.
pub fn error(page: &ErrorPage<'_>) -> String {
    rendered(&ErrorTemplate {
        assets: root(),
        script: "",
        organisation: page.organisation,
        headline: page.headline,
        body: page.body,
        reference: page.reference,
        again: page.again,
    })
}

/// A path that leads nowhere.
pub fn not_found(organisation: &str) -> String {
    let (headline, body) = ("error.not_found.headline", "error.not_found.body");
    error(&ErrorPage { organisation, headline, body, reference: None, again: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> SignIn {
        SignIn {
            flow: "f-1".into(),
            nonce: "n-1".into(),
            client_name: "<b>Till</b> & co".into(),
            organisation: "Harbour \"Books\"".into(),
            host: "id.harbour.shop".into(),
            passkey: true,
        }
    }

    pub fn phones() -> Vec<String> {
        let kinds = [PhoneKind::Scan, PhoneKind::Code, PhoneKind::Overview, PhoneKind::Enrol, PhoneKind::Badge, PhoneKind::Terminal, PhoneKind::Add, PhoneKind::Recover];
        kinds.iter().map(|k| phone_shell(*k, "Harbour", "id.harbour.shop")).collect()
    }

    fn all() -> Vec<String> {
        let live = Live { name: "Ana Petrović".into(), left_s: 60, whole_s: 1800 };
        let mut pages = phones();
        pages.push(sign_in(&page()));
        pages.push(sign_in(&SignIn { passkey: false, ..page() }));
        pages.push(silent("Harbour", "f-1", "n-1"));
        pages.push(session("Harbour", "n", Some(&live)));
        pages.push(session("Harbour", "n", None));
        pages.push(operator("Harbour", "n"));
        pages.push(kiosk("Harbour", "id.harbour.shop", "n", Some(&live), Some("https://till.example/"), true));
        pages.push(kiosk("Harbour", "id.harbour.shop", "n", None, None, false));
        pages.push(logout_confirm("Harbour", Some("Till"), &[("state".into(), "\"><x".into())]));
        pages.push(logout_confirm("Harbour", None, &[]));
        pages.push(logged_out("Harbour", Some("https://till.example/?a=1&b=2")));
        pages.push(logged_out("Harbour", None));
        pages.push(form_post("Harbour", "https://till.example/cb", &[("state".into(), "\"><x".into())]));
        pages.push(not_found("Harbour"));
        pages.push(error(&ErrorPage {
            organisation: "Harbour",
            headline: "error.headline",
            body: "error.help",
            reference: Some("R-481-720-936"),
            again: Some("/"),
        }));
        pages
    }

    #[test]
    fn every_template_renders_without_inline_code_and_without_missing_texts() {
        for html in all() {
            assert!(html.starts_with("<!doctype html>"), "{html}");
            assert!(html.ends_with("</html>"), "{html}");
            for bad in ["<style", " style=", "onclick", "javascript:", "http://", ">sign_in.", ">phone.", ">page.", ">session.", ">logout.", ">error.", ">operator."] {
                assert!(!html.contains(bad), "`{bad}` in {html}");
            }
            for script in html.split("<script").skip(1) {
                let tag = script.split('>').next().unwrap();
                assert!(tag.contains("src=\"/assets/"), "inline script in {html}");
            }
        }
    }

    #[test]
    fn one_page_may_make_one_worker_and_no_page_anything_else() {
        let (types, telling) = (CSP.rsplit_once("; ").unwrap(), CSP_TELLING.rsplit_once("; ").unwrap());
        assert_eq!(types.0, telling.0);
        assert_eq!((types.1, telling.1), ("trusted-types 'none'", "trusted-types worker"));
        let worker = worker();
        assert!(worker.starts_with("const WORDS = {") && worker.contains("Something waits for you"), "{worker}");
        for bad in ["fetch", "caches", "importScripts", "indexedDB", "http"] {
            assert!(!worker.contains(bad), "`{bad}` in {worker}");
        }
    }

    #[test]
    fn every_asset_that_a_page_names_is_embedded() {
        for html in all() {
            for part in html.split("\"/assets/").skip(1) {
                let path = part.split('"').next().unwrap();
                assert!(asset(path).is_some(), "{path}");
            }
        }
    }

    #[test]
    fn names_from_outside_are_escaped() {
        let html = sign_in(&page());
        assert!(!html.contains("<b>Till"), "{html}");
        assert!(html.contains("&#60;b&#62;Till"), "{html}");
        assert!(!html.contains("Harbour \"Books\""), "{html}");
    }

    #[test]
    fn a_phone_shell_takes_the_fragment_away_before_anything_is_fetched() {
        let html = phone_shell(PhoneKind::Scan, "Harbour", "id.harbour.shop");
        let first = html.find("fragment.js").unwrap();
        for later in ["style.css", "catalogue/en.json", "modulepreload", "script/phone.js"] {
            assert!(first < html.find(later).unwrap(), "{later}");
        }
    }

    #[test]
    fn the_passkey_comes_before_the_code_and_only_where_it_is_offered() {
        let html = sign_in(&page());
        assert!(html.find("id=\"passkey\"").unwrap() < html.find("id=\"code-card\"").unwrap());
        assert!(!sign_in(&SignIn { passkey: false, ..page() }).contains("id=\"passkey\""));
    }
}
