//! What people see and type: screens on a text terminal. The only place of this crate that prints.

pub mod code;
pub mod phone;
pub mod say;
pub mod sign_in;

use crate::{Fault, machine};
use std::io::{self, IsTerminal as _, Write};
use tokio::sync::mpsc;

/// Lines typed ahead at most.
const LINES: usize = 64;
/// Smallest window in which a code is drawn.
const COLUMNS: u16 = 80;
/// As [`COLUMNS`].
const ROWS: u16 = 24;

/// A place to write and lines to read.
pub struct Console {
    out: Box<dyn Write + Send>,
    lines: mpsc::Receiver<String>,
    /// Whether escape sequences may be written.
    pub colour: bool,
    /// Columns and rows, if codes may be drawn.
    pub room: Option<(u16, u16)>,
}

impl Console {
    /// Standard input and, so that results stay alone on standard output, standard error.
    pub fn standard() -> Console {
        let (typed, lines) = mpsc::channel(LINES);
        // A thread, since reading a line cannot be called off; it ends with the process.
        std::thread::spawn(move || {
            for line in io::stdin().lines() {
                let Ok(line) = line else { return };
                if typed.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        let terminal = io::stderr().is_terminal();
        let size = terminal_size::terminal_size_of(io::stderr()).map(|(w, h)| (w.0, h.0));
        Console {
            out: Box::new(io::stderr()),
            lines,
            colour: terminal && is_colour_wanted(),
            room: size.filter(|(w, h)| terminal && *w >= COLUMNS && *h >= ROWS),
        }
    }

    /// A console of the caller's.
    pub fn over(out: Box<dyn Write + Send>, lines: mpsc::Receiver<String>) -> Console {
        Console { out, lines, colour: false, room: None }
    }

    /// Writes a line.
    pub fn line(&mut self, text: &str) -> Result<(), Fault> {
        self.write(&format!("{text}\n"))
    }

    /// Writes without ending the line.
    pub fn write(&mut self, text: &str) -> Result<(), Fault> {
        self.out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush())
            .map_err(|e| Fault::Local(format!("cannot write to the screen: {e}")))
    }

    /// The next line typed, without white space around it; `None` at the end of input. May be
    /// dropped half way and asked again.
    pub async fn typed(&mut self) -> Option<String> {
        self.lines.recv().await.map(|line| line.trim().to_owned())
    }

    /// Text in bold, where that can be shown.
    pub fn bold(&self, text: &str) -> String {
        if self.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Text set back, where that can be shown.
    pub fn quiet(&self, text: &str) -> String {
        if self.colour { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Replaces the last `before` lines by `lines`.
    pub fn redraw(&mut self, before: usize, lines: &[String]) -> Result<(), Fault> {
        let mut text = String::new();
        if before > 0 {
            text.push_str(&format!("\x1b[{before}A\r"));
        }
        for line in lines {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        self.write(&text)
    }
}

/// Whether colours are welcome (`NO_COLOR`, `TERM=dumb`).
pub fn is_colour_wanted() -> bool {
    machine::variable("NO_COLOR").is_none() && machine::variable("TERM").is_none_or(|t| t != "dumb")
}
