//! RFC 8785 (JCS) over a narrow JSON: strings, booleans, whole numbers within ±(2⁵³−1), arrays,
//! objects. No floats, no nulls, no duplicate names, no lone surrogates, no control or
//! direction-changing characters. Under those rules JCS is sorted names and nothing else.

use crate::Malformed;
use serde_json::Value;

/// Largest whole number that every JSON reader keeps exactly: 2⁵³ − 1.
pub const MAX_SAFE: i64 = 9_007_199_254_740_991;

/// The canonical bytes of `value`, or [`Malformed`] when it leaves the narrow JSON, is deeper than
/// `depth` or longer than `bytes`.
pub fn encode(value: &Value, depth: usize, bytes: usize) -> Result<Vec<u8>, Malformed> {
    let mut out = String::with_capacity(1024);
    write(value, depth, &mut out)?;
    if out.len() > bytes {
        return Err(Malformed("canonical JSON within its length limit"));
    }
    Ok(out.into_bytes())
}

/// Parses bytes that must already be canonical; anything else is [`Malformed`], since whoever
/// hashes other bytes hashes something that nobody encoded.
pub fn parse(bytes: &[u8], depth: usize, limit: usize) -> Result<Value, Malformed> {
    if bytes.len() > limit {
        return Err(Malformed("canonical JSON within its length limit"));
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|_| Malformed("canonical JSON"))?;
    if encode(&value, depth, limit)? == bytes {
        Ok(value)
    } else {
        Err(Malformed("canonical JSON"))
    }
}

fn write(value: &Value, depth: usize, out: &mut String) -> Result<(), Malformed> {
    match value {
        Value::String(text) => write_text(text, out),
        Value::Bool(b) => {
            out.push_str(if *b { "true" } else { "false" });
            Ok(())
        }
        Value::Number(n) => match n.as_i64() {
            Some(i) if (-MAX_SAFE..=MAX_SAFE).contains(&i) => {
                out.push_str(&i.to_string());
                Ok(())
            }
            _ => Err(Malformed("a whole number within 2^53")),
        },
        Value::Null => Err(Malformed("no null")),
        Value::Array(_) | Value::Object(_) if depth == 0 => Err(Malformed("less nesting")),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, depth - 1, out)?;
            }
            out.push(']');
            Ok(())
        }
        Value::Object(map) => {
            let mut names: Vec<&String> = map.keys().collect();
            names.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (at, name) in names.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_text(name, out)?;
                out.push(':');
                if let Some(item) = map.get(name) {
                    write(item, depth - 1, out)?;
                }
            }
            out.push('}');
            Ok(())
        }
    }
}

fn write_text(text: &str, out: &mut String) -> Result<(), Malformed> {
    if !is_plain(text) {
        return Err(Malformed("text without control or direction-changing characters"));
    }
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    Ok(())
}

/// Whether `text` can be shown to a person as it stands: no control characters, none that change
/// the direction of writing.
pub fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| {
        c.is_control()
            || matches!(c,
                '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}'
                | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn enc(v: Value) -> Result<String, Malformed> {
        encode(&v, 8, 8192).map(|b| String::from_utf8(b).unwrap())
    }

    #[test]
    fn names_are_sorted_by_utf16_and_text_is_kept() {
        // RFC 8785 §3.2.3: U+1F600 (surrogate pair D83D) sorts before U+FB33.
        let v = json!({"\u{fb33}": 1, "\u{1f600}": 2, "b": "x\"y\\", "a": [true, -5]});
        assert_eq!(
            enc(v).unwrap(),
            "{\"a\":[true,-5],\"b\":\"x\\\"y\\\\\",\"\u{1f600}\":2,\"\u{fb33}\":1}"
        );
    }

    #[test]
    fn whatever_leaves_the_narrow_json_is_refused() {
        for bad in [
            json!(1.5),
            json!(null),
            json!(9_007_199_254_740_992_i64),
            json!("a\nb"),
            json!("a\u{202e}b"),
            json!({"\u{0}": 1}),
            json!([[[[[[[[[1]]]]]]]]]),
        ] {
            assert!(enc(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_canonical_bytes_parse() {
        assert!(parse(b"{\"a\":1,\"b\":2}", 8, 100).is_ok());
        for bad in [
            &b"{\"b\":2,\"a\":1}"[..],
            b"{\"a\":1, \"b\":2}",
            b"{\"a\":1,\"a\":1}",
            b"{\"a\":1.0}",
            b"{\"a\":\"\\u0041\"}",
            b"{\"a\":\"\\ud800\"}",
            b"{\"a\":1e3}",
            b" {}",
            b"",
        ] {
            assert!(parse(bad, 8, 100).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert!(parse(b"{\"a\":1}", 8, 3).is_err());
    }
}
