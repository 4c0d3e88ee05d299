//! The live code on a text screen: two modules a character, black on bright white set explicitly,
//! so that it scans whatever colours the window has. Version and mask are chosen once, so that a
//! new frame changes as little as possible.

use crate::Fault;
use fast_qr::qr::QRBuilder;
use fast_qr::{ECL, Mask, Mode, QRCode, Version};

/// Modules of quiet zone on each side (ISO/IEC 18004 §9.1).
const QUIET: usize = 4;
/// Strokes of the tally.
const STROKES: usize = 28;

/// Draws codes of one ceremony.
pub struct Painter {
    version: Version,
    mask: Mask,
    colour: bool,
}

impl Painter {
    /// A painter for codes as long as `link`.
    pub fn new(link: &str, colour: bool) -> Result<Painter, Fault> {
        let first = QRBuilder::new(link).mode(Mode::Byte).ecl(ECL::M).build().map_err(|_| too_long())?;
        match (first.version, first.mask) {
            (Some(version), Some(mask)) => Ok(Painter { version, mask, colour }),
            _ => Err(too_long()),
        }
    }

    /// The rows of the code that says `link`.
    pub fn rows(&self, link: &str) -> Result<Vec<String>, Fault> {
        let code = QRBuilder::new(link)
            .mode(Mode::Byte)
            .ecl(ECL::M)
            .version(self.version)
            .mask(self.mask)
            .build()
            .map_err(|_| too_long())?;
        Ok(halves(&code).into_iter().map(|row| self.inked(&row)).collect())
    }

    fn inked(&self, row: &str) -> String {
        if self.colour { format!("\x1b[30;107m{row}\x1b[0m") } else { row.to_owned() }
    }

    /// The whole picture: code on the left, words on the right, the tally below them.
    pub fn picture(&self, link: &str, words: &[String], tally: &str) -> Result<Vec<String>, Fault> {
        let mut beside = vec![String::new(); 4];
        beside.extend_from_slice(words);
        beside.push(String::new());
        beside.push(tally.to_owned());
        let mut rows = self.rows(link)?;
        for (row, text) in rows.iter_mut().zip(beside) {
            row.push_str("   ");
            row.push_str(&text);
        }
        Ok(rows)
    }

    /// Columns that a picture needs for its code alone.
    pub fn columns(&self) -> usize {
        (self.version as usize) * 4 + 21 + 2 * QUIET
    }
}

/// The tally: what is left of `life_ms`, as strokes that go out.
pub fn tally(left_ms: i64, life_ms: i64) -> String {
    let all = i64::try_from(STROKES).unwrap_or(0);
    let lit = (left_ms.clamp(0, life_ms.max(1)) * all + life_ms.max(1) - 1) / life_ms.max(1);
    let lit = usize::try_from(lit).unwrap_or(0).min(STROKES);
    format!("{}{}", "|".repeat(lit), ".".repeat(STROKES - lit))
}

/// Rows of two modules a character: upper half, lower half, both, none.
fn halves(code: &QRCode) -> Vec<String> {
    let side = code.size + 2 * QUIET;
    let dark = |row: usize, column: usize| {
        let inside = |at: usize| at.checked_sub(QUIET).filter(|at| *at < code.size);
        match (inside(row), inside(column)) {
            (Some(r), Some(c)) => code.data.get(r * code.size + c).is_some_and(|m| m.value()),
            _ => false,
        }
    };
    (0..side.div_ceil(2))
        .map(|pair| {
            (0..side)
                .map(|column| match (dark(2 * pair, column), dark(2 * pair + 1, column)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                })
                .collect()
        })
        .collect()
}

fn too_long() -> Fault {
    Fault::Local("the server's address is too long for a code".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(c: char) -> String {
        format!("https://id.harbour.shop/q#{}", String::from(c).repeat(35))
    }

    #[test]
    fn a_version_four_code_takes_41_by_21_characters() {
        let painter = Painter::new(&link('A'), false).unwrap();
        let rows = painter.rows(&link('B')).unwrap();
        assert_eq!(rows.len(), 21);
        assert!(rows.iter().all(|row| row.chars().count() == 41));
        assert_eq!(painter.columns(), 41);
        assert!(rows[0].trim().is_empty() && rows[1].trim().is_empty(), "quiet zone");
        assert!(rows[2].starts_with("    █▀▀▀▀▀█"), "finder: {}", rows[2]);
    }

    #[test]
    fn colours_are_set_explicitly_or_not_at_all() {
        let painted = Painter::new(&link('A'), true).unwrap().rows(&link('A')).unwrap();
        assert!(painted.iter().all(|row| row.starts_with("\x1b[30;107m") && row.ends_with("\x1b[0m")));
        let plain = Painter::new(&link('A'), false).unwrap().rows(&link('A')).unwrap();
        assert!(plain.iter().all(|row| !row.contains('\x1b')));
    }

    #[test]
    fn the_tally_goes_out_stroke_by_stroke() {
        assert_eq!(tally(120_000, 120_000), "|".repeat(28));
        assert_eq!(tally(0, 120_000), ".".repeat(28));
        assert_eq!(tally(1, 120_000), format!("|{}", ".".repeat(27)));
        assert_eq!(tally(60_000, 120_000), format!("{}{}", "|".repeat(14), ".".repeat(14)));
        assert_eq!(tally(-5, 0).len(), 28);
    }
}
