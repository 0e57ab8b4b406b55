//! What stdout carries: tables for people, TSV in a pipe, and the API objects in four formats.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Global;
use super::cell;
use super::terminal::Terminal;

/// A terminal that says it is narrower does not know its size.
const NARROWEST: u16 = 20;
/// Blanks between columns.
const GAP: u16 = 2;
/// Longer cells are wrapped rather than pushing other columns out.
const WRAPPED: usize = 40;

/// Formats of `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    Table,
    /// Tab-separated columns
    Tsv,
    /// The API object, indented
    Json,
    /// One API object per line
    Jsonl,
    /// Comma-separated, safe for spreadsheets
    Csv,
    /// The API object in YAML
    Yaml,
}

/// How this call prints.
pub(crate) struct Output {
    format: Format,
    asked: Option<Format>,
    fields: Vec<String>,
    headers: bool,
    quiet: bool,
    terminal: Terminal,
    now: Timestamp,
}

impl Output {
    /// Chooses by `-o`, else by whether stdout is a terminal.
    pub(crate) fn new(global: &Global) -> Self {
        let terminal = Terminal::detect();
        let default = if terminal.stdout { Format::Table } else { Format::Tsv };
        Self {
            format: global.output.unwrap_or(default),
            asked: global.output,
            fields: global.fields.clone(),
            headers: !global.no_headers,
            quiet: global.quiet,
            terminal,
            now: crate::clock::timestamp(),
        }
    }

    /// Uses another format where `-o` asked for none.
    pub(crate) fn or(mut self, format: Format) -> Self {
        self.format = self.asked.unwrap_or(format);
        self
    }

    /// The format that `-o` asked for.
    pub(crate) fn asked(&self) -> Option<Format> {
        self.asked
    }

    /// What the streams are attached to.
    pub(crate) fn terminal(&self) -> Terminal {
        self.terminal
    }

    /// A message to the person, on stderr.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("{}", cell::clean(text));
        }
    }

    /// Prints one object; tables and TSV show its members one per line, the columns first.
    pub(crate) fn object(&self, columns: &[&str], object: &Value) -> io::Result<()> {
        match self.format {
            Format::Csv => self.rows(columns).all(vec![object.clone()]),
            Format::Table | Format::Tsv => self.members(columns, object, true),
            format => write_out(&document(format, object)?),
        }
    }

    /// Prints one object of which people only want the columns.
    pub(crate) fn summary(&self, columns: &[&str], object: &Value) -> io::Result<()> {
        match self.format {
            Format::Table | Format::Tsv => self.members(columns, object, false),
            _ => self.object(columns, object),
        }
    }

    fn members(&self, columns: &[&str], object: &Value, all: bool) -> io::Result<()> {
        let names = self.names(columns, std::slice::from_ref(object), all);
        let lines = names.iter().map(|name| vec![name.clone(), self.cell(name, object)]).collect();
        self.grid(None, lines)
    }

    /// Starts a list that may come page by page.
    pub(crate) fn rows<'a>(&'a self, columns: &'a [&'a str]) -> Rows<'a> {
        Rows { output: self, columns, names: Vec::new(), kept: Vec::new(), started: false }
    }

    /// The names of the columns: `--fields`, else those of the noun, else (or besides) all there are.
    fn names(&self, columns: &[&str], rows: &[Value], all: bool) -> Vec<String> {
        if !self.fields.is_empty() {
            return self.fields.clone();
        }
        let mut names: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        if all || columns.is_empty() {
            for leaf in rows.iter().flat_map(cell::leaves) {
                let below = format!("{leaf}.");
                if !names.iter().any(|name| *name == leaf || name.starts_with(&below)) {
                    names.push(leaf);
                }
            }
        }
        names
    }

    fn cell(&self, name: &str, object: &Value) -> String {
        let value = cell::at(object, name);
        match self.format {
            Format::Table => cell::for_people(name, value, self.now),
            Format::Csv if self.terminal.stdout => cell::clean(&cell::for_csv(value)),
            Format::Csv => cell::for_csv(value),
            _ => cell::clean(&cell::plain(value)),
        }
    }

    /// Lines of cells in the shape of the format.
    fn grid(&self, header: Option<&[String]>, lines: Vec<Vec<String>>) -> io::Result<()> {
        let header = header.filter(|_| self.headers);
        if self.format == Format::Table {
            return write_out(&self.table(header, lines));
        }
        let part = if self.format == Format::Csv { "," } else { "\t" };
        let end = if self.format == Format::Csv { "\r\n" } else { "\n" };
        let mut text = header.map(|names| names.join(part) + end).unwrap_or_default();
        for line in lines {
            text.push_str(&line.join(part));
            text.push_str(end);
        }
        write_out(&text)
    }

    fn table(&self, header: Option<&[String]>, lines: Vec<Vec<String>>) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
        let shown = match table.width().filter(|width| self.terminal.stdout && *width >= NARROWEST) {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic);
                fitting(header, &lines, width)
            }
            None => columns,
        };
        if let Some(names) = header {
            table.set_header(names.iter().take(shown).map(|name| {
                let title = Cell::new(title(name));
                if self.terminal.style { title.add_attribute(Attribute::Bold) } else { title }
            }));
            if shown < columns {
                self.note(&format!("no room for {}; see --fields", names[shown..].join(", ")));
            }
        }
        for line in lines {
            table.add_row(line.into_iter().take(shown));
        }
        table.column_iter_mut().for_each(|column| {
            column.set_padding((0, GAP));
        });
        table.trim_fmt() + "\n"
    }
}

fn title(name: &str) -> String {
    name.replace(['_', '.'], " ").to_uppercase()
}

/// How many columns have room side by side. The first two always stay; long text counts as far as
/// it can be wrapped.
fn fitting(header: Option<&[String]>, lines: &[Vec<String>], width: u16) -> usize {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let mut used = 0;
    for column in 0..columns {
        let cells = lines.iter().filter_map(|line| line.get(column));
        let cells = cells.map(|cell| cell.chars().count());
        let name = header.and_then(|names| names.get(column)).map(|name| title(name).chars().count());
        used += cells.chain(name).max().unwrap_or_default().min(WRAPPED) + usize::from(GAP);
        if used > usize::from(width) {
            return column.max(2).min(columns);
        }
    }
    columns
}

/// A list on its way out.
pub(crate) struct Rows<'a> {
    output: &'a Output,
    columns: &'a [&'a str],
    names: Vec<String>,
    kept: Vec<Value>,
    started: bool,
}

impl Rows<'_> {
    /// Takes one page; formats that can be written line by line are written at once.
    pub(crate) fn page(&mut self, rows: Vec<Value>) -> io::Result<()> {
        match self.output.format {
            Format::Table | Format::Json | Format::Yaml => self.kept.extend(rows),
            Format::Jsonl => {
                for row in rows {
                    write_out(&document(Format::Jsonl, &row)?)?;
                }
            }
            Format::Csv | Format::Tsv => self.lines(&rows)?,
        }
        Ok(())
    }

    /// Writes what had to wait for the last page.
    pub(crate) fn finish(mut self, next_cursor: Option<&str>) -> io::Result<()> {
        match self.output.format {
            Format::Table => {
                let rows = std::mem::take(&mut self.kept);
                if rows.is_empty() {
                    self.output.note("nothing found");
                    return Ok(());
                }
                self.lines(&rows)
            }
            Format::Json | Format::Yaml => {
                let list = json!({"data": self.kept, "next_cursor": next_cursor});
                write_out(&document(self.output.format, &list)?)
            }
            _ => Ok(()),
        }
    }

    /// A list that is complete already.
    pub(crate) fn all(mut self, rows: Vec<Value>) -> io::Result<()> {
        self.page(rows)?;
        self.finish(None)
    }

    fn lines(&mut self, rows: &[Value]) -> io::Result<()> {
        let first = !std::mem::replace(&mut self.started, true);
        if first {
            // CSV is the whole object; later pages have the members of the first.
            self.names = self.output.names(self.columns, rows, self.output.format == Format::Csv);
        }
        let lines =
            rows.iter().map(|row| self.names.iter().map(|name| self.output.cell(name, row)).collect());
        self.output.grid(first.then_some(&self.names[..]), lines.collect())
    }
}

/// JSON, JSON lines or YAML of a value.
fn document(format: Format, value: &Value) -> io::Result<String> {
    if format == Format::Yaml {
        return serde_saphyr::to_string(value).map_err(io::Error::other);
    }
    let text = match format {
        Format::Json => serde_json::to_string_pretty(value)?,
        _ => value.to_string(),
    };
    Ok(escape_unsafe(&text) + "\n")
}

/// Writes the same JSON without the characters that a terminal would act upon: they occur only
/// inside strings, where `\u…` means the same.
fn escape_unsafe(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !cell::is_unsafe(c) {
            safe.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            safe.push_str(&format!("\\u{unit:04x}"));
        }
    }
    safe
}

/// Writes to stdout; a closed pipe is an error here and no panic.
pub(crate) fn write_out(text: &str) -> io::Result<()> {
    write_bytes(text.as_bytes())
}

/// Writes bytes that are passed on as they are.
pub(crate) fn write_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(format: Format) -> Output {
        let terminal = Terminal { stdin: false, stdout: false, stderr: false, style: false };
        let now = "2026-06-01T12:00:00Z".parse().expect("a time");
        Output { format, asked: None, fields: vec![], headers: true, quiet: false, terminal, now }
    }

    #[test]
    fn columns_are_those_of_the_noun_and_csv_has_all() {
        let row = json!({"label": "a", "id": "key_1", "secrets": [], "actor": {"id": "u"}});
        let rows = [row];
        assert_eq!(output(Format::Tsv).names(&["id", "label"], &rows, false), ["id", "label"]);
        let all = output(Format::Csv).names(&["id", "label"], &rows, true);
        assert_eq!(all, ["id", "label", "actor.id", "secrets"]);
        assert_eq!(output(Format::Tsv).names(&["key.id"], &[json!({"key": null})], true), ["key.id"]);
        let mut chosen = output(Format::Csv);
        chosen.fields = vec!["label".to_owned()];
        assert_eq!(chosen.names(&["id"], &rows, true), ["label"]);
    }

    #[test]
    fn a_table_shows_relative_times_and_a_pipe_does_not() {
        let row = json!({"created_at": "2026-06-01T11:00:00Z"});
        assert_eq!(output(Format::Table).cell("created_at", &row), "1 hour ago");
        assert_eq!(output(Format::Tsv).cell("created_at", &row), "2026-06-01T11:00:00Z");
    }

    #[test]
    fn table_has_titles_and_no_trailing_blanks() {
        let header = ["id".to_owned(), "last_used_at".to_owned()];
        let text = output(Format::Table).table(Some(&header), vec![vec!["key_1".to_owned(), "-".to_owned()]]);
        assert_eq!(text, "ID     LAST USED AT\nkey_1  -\n");
    }

    #[test]
    fn a_narrow_terminal_loses_the_last_columns_first() {
        let header = ["a", "b", "c"].map(str::to_owned);
        let lines = [["x".repeat(10), "y".repeat(90), "z".repeat(10)].to_vec()];
        // 10 + 40 + 10 and a gap of 2 behind each.
        assert_eq!(fitting(Some(&header), &lines, 66), 3);
        assert_eq!(fitting(Some(&header), &lines, 65), 2);
        assert_eq!(fitting(Some(&header), &lines, 20), 2);
        assert_eq!(fitting(None, &[], 80), 0);
    }

    #[test]
    fn json_keeps_its_meaning_while_escapes_are_defused() {
        let value = json!({"label": "a\u{9b}31m\u{202e}\u{1b}\u{fffa}z"});
        for format in [Format::Json, Format::Jsonl] {
            let text = document(format, &value).expect("JSON");
            assert!(!text.trim_end().chars().any(|c| c != '\n' && cell::is_unsafe(c)), "{text:?}");
            assert_eq!(serde_json::from_str::<Value>(&text).expect("still JSON"), value);
        }
        let text = document(Format::Yaml, &value).expect("YAML");
        assert!(!text.trim_end().chars().any(|c| c != '\n' && c.is_control()), "{text:?}");
        assert_eq!(serde_saphyr::from_str::<Value>(&text).expect("still YAML"), value);
    }
}
