//! A list of terminals in a file: one JSON object a line, or CSV (RFC 4180) whose first line names its columns.
//! Whatever is wrong with it is told by the number of its line, all of it at once, and nothing is done.

use super::Ended;
use crate::app::terminals::Wanted;
use countersign_wire::jcs;
use std::path::Path;

/// Longest file: a thousand terminals need a tenth of it, bytes.
const BYTES: u64 = 4 * 1024 * 1024;
/// Faults that are told; somebody who mixed up two columns needs to see a few.
const TOLD: usize = 50;
/// Columns that there may be.
const COLUMNS: [&str; 4] = ["name", "place", "class", "site"];

/// Terminals of a file, each with the number of its line.
#[derive(Debug)]
pub struct List {
    /// Line and terminal.
    pub lines: Vec<(usize, Wanted)>,
    /// Whether links are to be printed as CSV, as the list came.
    pub is_csv: bool,
}

/// Reads a list, or says what is wrong in which line.
pub fn read(file: &Path) -> Result<List, Ended> {
    let cannot = |e: std::io::Error| Ended::usage(format!("cannot read `{}`: {e}", file.display()));
    if std::fs::metadata(file).map_err(cannot)?.len() > BYTES {
        return Err(Ended::usage("a list of more than 4 MB"));
    }
    let text = std::fs::read_to_string(file).map_err(cannot)?;
    parse(&text).map_err(|faults| wrong(&faults))
}

/// What is wrong, by lines.
pub fn wrong(faults: &[(usize, String)]) -> Ended {
    let mut said: Vec<String> = faults.iter().take(TOLD).map(|(n, why)| format!("line {n}: {why}")).collect();
    if faults.len() > TOLD {
        said.push(format!("and {} more", faults.len() - TOLD));
    }
    said.push("nobody was invited".to_owned());
    Ended::usage(said.join("\n"))
}

fn parse(text: &str) -> Result<List, Vec<(usize, String)>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate().map(|(n, l)| (n + 1, l)).filter(|(_, l)| !l.trim().is_empty()).peekable();
    let is_csv = lines.peek().is_some_and(|(_, l)| !l.trim_start().starts_with('{'));
    let columns = match lines.next_if(|_| is_csv) {
        Some((n, line)) => columns(line).map_err(|why| vec![(n, why)])?,
        None => Vec::new(),
    };
    let (mut good, mut faults) = (Vec::new(), Vec::new());
    for (n, line) in lines {
        let read = if is_csv { row(&columns, line) } else { serde_json::from_str(line).map_err(|e| e.to_string()) };
        match read {
            Ok(wanted) => good.push((n, wanted)),
            Err(why) => faults.push((n, why)),
        }
    }
    if faults.is_empty() { Ok(List { lines: good, is_csv }) } else { Err(faults) }
}

fn columns(line: &str) -> Result<Vec<String>, String> {
    let columns = fields(line)?;
    for (n, column) in columns.iter().enumerate() {
        if !COLUMNS.contains(&column.as_str()) || columns.iter().take(n).any(|c| c == column) {
            return Err(format!("`{column}`: the first line names the columns name, place, class, site, each once"));
        }
    }
    match ["name", "place", "class"].into_iter().find(|need| !columns.iter().any(|c| c == need)) {
        Some(missing) => Err(format!("no column `{missing}`")),
        None => Ok(columns),
    }
}

fn row(columns: &[String], line: &str) -> Result<Wanted, String> {
    let values = fields(line)?;
    if values.len() != columns.len() {
        return Err(format!("{} values for {} columns", values.len(), columns.len()));
    }
    let of = |name: &str| columns.iter().zip(&values).find(|(c, _)| *c == name).map(|(_, v)| v.clone()).unwrap_or_default();
    Ok(Wanted { name: of("name"), place: of("place"), class: of("class"), site: Some(of("site")).filter(|s| !s.is_empty()) })
}

/// Values of one line. A quoted value may hold commas, and quotes that are doubled; it ends with its line.
fn fields(line: &str) -> Result<Vec<String>, String> {
    let (mut all, mut rest) = (Vec::new(), line);
    loop {
        let (value, after) = match rest.trim_start().strip_prefix('"') {
            Some(quoted) => quoted_value(quoted)?,
            None => match rest.split_once(',') {
                Some((value, more)) => (value.trim().to_owned(), Some(more)),
                None => (rest.trim().to_owned(), None),
            },
        };
        all.push(value);
        match after {
            Some(more) => rest = more,
            None => return Ok(all),
        }
    }
}

fn quoted_value(text: &str) -> Result<(String, Option<&str>), String> {
    let (mut value, mut rest) = (String::new(), text);
    loop {
        let (part, after) = rest.split_once('"').ok_or("a quote that is not closed")?;
        value.push_str(part);
        if let Some(more) = after.strip_prefix('"') {
            value.push('"');
            rest = more;
            continue;
        }
        let after = after.trim_start();
        return match after.strip_prefix(',') {
            Some(more) => Ok((value, Some(more))),
            None if after.is_empty() => Ok((value, None)),
            None => Err("something behind a closed quote".to_owned()),
        };
    }
}

/// Values as one line of CSV. One that a table would take for a formula is told as text.
pub fn line(values: &[&str]) -> String {
    let quoted = values.iter().map(|v| {
        let formula = v.starts_with(['=', '+', '-', '@']) || !jcs::is_plain(v);
        format!("\"{}{}\"", if formula { "'" } else { "" }, v.replace('"', "\"\""))
    });
    quoted.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_by_its_columns_and_quotes() {
        let list = parse("\u{feff}class,name, place ,site\r\ntill,\"Till 4, front\",\"The \"\"Old\"\" Market\",market\r\n\r\nkiosk,K 1,Hall,\r\n").unwrap();
        assert!(list.is_csv);
        let (n, first) = &list.lines[0];
        assert_eq!((*n, first.name.as_str(), first.place.as_str(), first.site.as_deref()), (2, "Till 4, front", "The \"Old\" Market", Some("market")));
        let (n, second) = &list.lines[1];
        assert_eq!((*n, second.class.as_str(), second.site.as_deref()), (4, "kiosk", None));
    }

    #[test]
    fn every_fault_is_told_by_its_line() {
        let lines = |text: &str| parse(text).unwrap_err().into_iter().map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(lines("name,place\na,b\n"), [1]);
        assert_eq!(lines("name,place,class,name\n"), [1]);
        assert_eq!(lines("name,place,class,colour\n"), [1]);
        assert_eq!(lines("name,place,class\na,b\nc,d,till\n\"e,f,till\ng,\"h\"x,till\n"), [2, 4, 5]);
        assert_eq!(lines("{\"name\":\"a\",\"place\":\"b\",\"class\":\"till\"}\n{\"name\":1}\nname,place\n"), [2, 3]);
        assert!(parse("").unwrap().lines.is_empty());
    }

    #[test]
    fn what_is_printed_is_read_back_and_no_formula() {
        let printed = line(&["Till \"4\"", "a,b", "till"]);
        assert_eq!(fields(&printed).unwrap(), ["Till \"4\"", "a,b", "till"]);
        assert_eq!(line(&["=cmd()"]), "\"'=cmd()\"");
    }
}
