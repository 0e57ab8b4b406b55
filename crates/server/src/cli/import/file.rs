//! The file of an import, and the rows in it.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;

use super::{FileArgs, unusable};
use crate::cli::Failure;
use crate::imports::file::{FileFormat, Kind, Lines, Reading};

/// Reads a file: `fields` are those that count, `columns` where another system has them.
pub(super) fn read_lines(
    args: &FileArgs,
    fields: &[(&str, Kind)],
    columns: &[(&str, &str)],
) -> anyhow::Result<Lines> {
    for (name, _) in args.map.iter().chain(&args.set) {
        if !fields.iter().any(|(field, _)| field == name) {
            let known: Vec<&str> = fields.iter().map(|(field, _)| *field).collect();
            let told = crate::http::json::suggestion(name, &known);
            return Err(Failure::usage(format!("--map and --set: {told}")).into());
        }
    }
    let reading = Reading { fields, columns, map: &args.map, set: &args.set };
    let lines =
        reading.lines(&read(&args.file)?, format(args)).map_err(|one| unusable(one.line, &one.why))?;
    if lines.rows.is_empty() && lines.left_out == 0 {
        return Err(Failure::usage(format!("{}: no rows", args.file.display())).into());
    }
    Ok(lines)
}

fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("stdin")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn format(args: &FileArgs) -> FileFormat {
    let named_csv = args.file.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    args.format.unwrap_or(if named_csv { FileFormat::Csv } else { FileFormat::Jsonl })
}
