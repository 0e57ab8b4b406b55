//! CSV (RFC 4180): written so that a spreadsheet takes no cell for a formula (WEB-6), and read.

/// One cell. Text that a spreadsheet would take for a formula gets an apostrophe in front.
pub(crate) fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\0']);
    quoted(if formula { format!("'{text}") } else { text.to_owned() })
}

/// A cell as it is, in quotes where its text needs them.
pub(crate) fn quoted(text: String) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// One line of cells.
pub(crate) fn line<'c>(cells: impl IntoIterator<Item = &'c str>) -> String {
    let cells: Vec<String> = cells.into_iter().map(cell).collect();
    cells.join(",") + "\r\n"
}

/// The records of a text, each with the line it begins on. A quote that is not closed takes the rest.
pub(crate) fn records(text: &str) -> Vec<(usize, Vec<String>)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut began, mut quoted) = (1, 1, false);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        line += usize::from(c == '\n');
        match c {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\r' if !quoted && characters.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                keep(&mut records, began, std::mem::take(&mut record));
                began = line;
            }
            _ => field.push(c),
        }
    }
    record.push(field);
    keep(&mut records, began, record);
    records
}

/// Empty lines are no records.
fn keep(records: &mut Vec<(usize, Vec<String>)>, line: usize, record: Vec<String>) {
    if record.iter().any(|field| !field.is_empty()) {
        records.push((line, record));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_6_cells_that_look_like_formulas_are_neutralised() {
        for start in ["=1+1", "+1", "-1", "@x", "\tx", "\0x"] {
            assert_eq!(cell(start), format!("'{start}"));
        }
        assert_eq!(cell("=a,\"b\""), "\"'=a,\"\"b\"\"\"");
        assert_eq!(cell("\rx"), "\"'\rx\"");
        assert_eq!(cell("a=b"), "a=b");
        assert_eq!(line(["a", "=b", "c d"]), "a,'=b,c d\r\n");
    }

    #[test]
    fn records_are_read_with_quotes_and_lines() {
        let text = "\u{feff}a,b\r\n\"x, \"\"y\"\"\nz\",2\n\n3,\n";
        let read = records(text);
        let cells = |list: [&str; 2]| list.map(str::to_owned).to_vec();
        assert_eq!(read[0], (1, cells(["a", "b"])));
        assert_eq!(read[1], (2, cells(["x, \"y\"\nz", "2"])));
        assert_eq!(read[2], (5, cells(["3", ""])));
        assert_eq!(read.len(), 3);
        assert!(records("").is_empty());
    }
}
