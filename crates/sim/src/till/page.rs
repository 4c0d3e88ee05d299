//! The till's pages: warm paper, black ink, one accent that means "this acts for you". Nothing is
//! fetched from anywhere else.

/// Style of every page.
pub const STYLE: &str = include_str!("till.css");

/// Reloads the page when its session ended elsewhere.
pub const SCRIPT: &str = include_str!("till.js");

const MARK: &str = r#"<svg class="mark" viewBox="0 0 26 22" width="26" height="22" aria-hidden="true"><path class="ink" d="M3 4h20v14H3z"/><path class="paper" d="M6 8h9v2H6zM6 12h6v2H6z"/></svg>"#;

/// Somebody is signed in.
pub fn open(till: &str, person: &str, until_s: i64) -> String {
    let person = escape(person);
    page(
        till,
        &format!("Till is open: {person}"),
        &format!(
            "<p class=\"chip good\">Open</p>\
             <h1>Till is open: <bdi>{person}</bdi></h1>\
             <p>Your phone keeps this screen open, and can close it. Until {}.</p>\
             <table><caption class=\"unseen\">Basket</caption><tbody>\
             <tr><td>The Sea, the Sea</td><td>9.90</td></tr>\
             <tr><td>Map of the harbour, folded</td><td>6.50</td></tr>\
             <tr class=\"sum\"><th scope=\"row\">To pay</th><td>16.40</td></tr></tbody></table>\
             <form method=\"post\" action=\"/sign-out\"><button class=\"button ink\">Sign out</button></form>\
             <script src=\"/till.js\" defer></script>",
            clock(until_s)
        ),
    )
}

/// Nobody is signed in.
pub fn closed(till: &str) -> String {
    page(
        till,
        "Till is closed",
        "<p class=\"chip\">Closed</p><h1>Till is closed</h1>\
         <p>Nobody is signed in here. Sign in with your phone; no password is ever typed here.</p>\
         <p><a class=\"button act\" href=\"/sign-in\">Sign in</a></p>",
    )
}

/// Something else.
pub fn problem(headline: &str, body: &str) -> String {
    page(
        "Till",
        headline,
        &format!("<h1>{}</h1><p>{}</p><p><a class=\"button act\" href=\"/\">Back to the till</a></p>", escape(headline), escape(body)),
    )
}

fn page(till: &str, title: &str, main: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title}</title>\
         <link rel=\"stylesheet\" href=\"/till.css\"><link rel=\"icon\" href=\"data:,\"></head>\
         <body><header>{MARK}<span>{}</span></header><main class=\"card\">{main}</main>\
         <footer>An example application. It has no passwords and no list of people.</footer></body></html>",
        escape(till)
    )
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
        out
    })
}

fn clock(seconds: i64) -> String {
    countersign_device::console::say::clock(seconds)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_name_is_shown_and_never_run() {
        let html = open("Till", "<script>alert(1)</script>", 0);
        assert!(html.contains("Till is open: <bdi>&lt;script&gt;"));
        assert_eq!(html.matches("<script").count(), 1, "our own");
    }

    #[test]
    fn pages_ask_nobody_else_for_anything() {
        for html in [open("T", "A", 0), closed("T"), problem("a", "b"), STYLE.into(), SCRIPT.into()] {
            assert!(!html.contains("http") && !html.contains("//"), "{html}");
        }
    }
}
