//! Cookies: one name per role, bound to the host, out of reach of scripts.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

/// The browser's half of collecting.
pub const BROWSER: &str = "__Host-cs_b";
/// The session's cookie.
pub const SESSION: &str = "__Host-cs_s";

/// The cookie of a session that its browser bound to a key in hardware.
pub const BOUND: &str = "__Host-cs_d";
/// What every cookie here says of itself, but for its life.
pub const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// A pass of forward-auth, at an application's host.
pub const PASS: &str = "__Host-cs_p";
/// The verifier of a browser that goes for a pass.
pub const ENTERING: &str = "__Host-cs_v";

/// The value of a cookie of 256 bits. A name that comes twice is nobody's.
pub fn read(headers: &HeaderMap, name: &str) -> Option<String> {
    read_any(headers, name).filter(|v| v.len() == 43)
}

/// The same, of any length that is worth reading.
pub fn read_any(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut found = None;
    for line in headers.get_all(header::COOKIE) {
        for pair in line.to_str().ok()?.split(';') {
            if let Some((n, v)) = pair.trim().split_once('=')
                && n == name
            {
                if found.is_some() {
                    return None;
                }
                found = Some(v.to_owned());
            }
        }
    }
    found.filter(|v| (1..=256).contains(&v.len()))
}

/// Sets a cookie.
pub fn set(response: &mut Response, name: &str, value: &str, life_s: i64) {
    let text = format!("{name}={value}; {ATTRIBUTES}; Max-Age={life_s}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// Takes a cookie away.
pub fn clear(response: &mut Response, name: &str) {
    set(response, name, "", 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_second_cookie_makes_both_worthless() {
        let good = "a".repeat(43);
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, format!("x=1; {BROWSER}={good}").parse().unwrap());
        assert_eq!(read(&headers, BROWSER), Some(good.clone()));
        headers.append(header::COOKIE, format!("{BROWSER}={good}").parse().unwrap());
        assert_eq!(read(&headers, BROWSER), None);
    }
}
