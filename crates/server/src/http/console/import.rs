//! Import: keys of other systems by the hash of their credential, looked at before they are taken (X11).

use askama::Template;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use keyward_core::key::KeyClass;
use serde::Deserialize;
use serde_json::json;

use super::Shown;
use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::keys::class_name;
use crate::error::{Error, Result};
use crate::http::json;
use crate::imports;
use crate::imports::file::{FileFormat, HASHES, KEY_FIELDS, Lines, Reading, columns_of};
use crate::imports::wire::{ImportIn, ImportOut, RowNote};

/// Words about rows that the page shows, at most.
const TOLD: usize = 200;

/// What the form of an import holds.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct ImportForm {
    /// Its name.
    source: Option<String>,
    /// How the credentials were hashed.
    hash: Option<String>,
    hmac_key: Option<String>,
    /// `jsonl` or `csv`.
    format: Option<String>,
    /// Of rows that name none.
    class: Option<String>,
    resume: Option<String>,
    rows: Option<String>,
}

impl ImportForm {
    fn is_csv(&self) -> bool {
        self.format.as_deref() == Some("csv")
    }

    fn hash(&self) -> &str {
        self.hash.as_deref().unwrap_or("sha256")
    }

    fn lines(&self) -> Result<Lines> {
        let set = [("class".to_owned(), self.class.clone().unwrap_or_else(|| "member".into()))];
        let reading = Reading { fields: KEY_FIELDS, columns: columns_of(self.hash()), map: &[], set: &set };
        let format = if self.is_csv() { FileFormat::Csv } else { FileFormat::Jsonl };
        let lines = reading
            .lines(self.rows.as_deref().unwrap_or_default(), format)
            .map_err(|one| Error::invalid("/rows", "bad_value", format!("line {}: {}", one.line, one.why)))?;
        match lines.rows.is_empty() && lines.left_out == 0 {
            true => Err(Error::invalid("/rows", "required", "there are no rows")),
            false => Ok(lines),
        }
    }

    /// As the operation takes it.
    fn input(&self, lines: &Lines) -> Result<ImportIn> {
        let rows: Vec<_> = lines.rows.iter().map(|line| &line.row).collect();
        let input = json!({
            "source": self.source.as_deref().unwrap_or_default(),
            "format": self.hash(),
            "hmac_key": self.hmac_key,
            "resume": self.resume.is_some(),
            "rows": rows,
        });
        serde_path_to_error::deserialize(input).map_err(|error| {
            Error::malformed(
                &place(lines, &json::pointer(error.path())),
                "bad_value",
                error.into_inner().to_string(),
            )
        })
    }
}

/// A pointer into the rows with the line of the text in place of the number of the row.
fn place(lines: &Lines, pointer: &str) -> String {
    let rest = pointer.strip_prefix("/rows/").unwrap_or_default();
    let (number, member) = rest.split_once('/').unwrap_or((rest, ""));
    let line = number.parse().ok().and_then(|number: usize| lines.rows.get(number));
    line.map_or_else(|| pointer.to_owned(), |line| format!("/rows/line {}/{member}", line.number))
}

/// A word about a line of the text.
struct NoteLine {
    line: usize,
    note: RowNote,
}

/// What became of the rows, or would.
struct Report {
    told: ImportOut,
    errors: Vec<NoteLine>,
    warnings: Vec<NoteLine>,
    /// Rows of what is over elsewhere.
    left_out: usize,
    /// Nothing was taken yet.
    is_check: bool,
}

impl Report {
    fn new(mut told: ImportOut, lines: &Lines, is_check: bool) -> Self {
        let notes = |notes: Vec<RowNote>| -> Vec<NoteLine> {
            let line = |note: RowNote| NoteLine {
                line: lines.rows.get(note.row).map_or(0, |line| line.number),
                note,
            };
            notes.into_iter().take(TOLD).map(line).collect()
        };
        Self {
            errors: notes(std::mem::take(&mut told.errors)),
            warnings: notes(std::mem::take(&mut told.warnings)),
            left_out: lines.left_out,
            told,
            is_check,
        }
    }

    fn is_cut(&self) -> bool {
        self.told.failed > self.errors.len()
    }

    /// There is something to take, once it was looked at.
    fn may_go_on(&self) -> bool {
        self.is_check && self.told.imported > 0
    }
}

#[derive(Template)]
#[template(path = "import.html")]
struct ImportPage<'a> {
    f: &'a Frame,
    form: &'a ImportForm,
    /// Value, name, and whether it is the one.
    hashes: Vec<(&'static str, bool)>,
    classes: Vec<(&'static str, &'static str, bool)>,
    report: Option<Report>,
    faults: &'a Faults,
}

fn ask(visit: &Visit, form: &ImportForm, report: Option<Report>, faults: &Faults) -> Shown {
    let frame = &visit.frame;
    let wanted = form.class.as_deref().and_then(KeyClass::parse).unwrap_or(KeyClass::Member);
    let class = |class: KeyClass| (class.as_str(), class_name(frame, class), class == wanted);
    super::page(&ImportPage {
        f: frame,
        form,
        hashes: HASHES.map(|word| (word, word == form.hash())).into(),
        classes: KeyClass::ALL.map(class).into(),
        report,
        faults,
    })
}

pub(crate) async fn new(visit: Visit) -> Shown {
    visit.must_be_fresh()?;
    ask(&visit, &ImportForm::default(), None, &Faults::default())
}

/// Tells what would become of the rows, and takes none.
pub(crate) async fn check(mut visit: Visit, Form(form): Form<ImportForm>) -> Shown {
    visit.actor.validate_only = true;
    carry_out(&visit, &form).await
}

pub(crate) async fn run(visit: Visit, Form(form): Form<ImportForm>) -> Shown {
    carry_out(&visit, &form).await
}

async fn carry_out(visit: &Visit, form: &ImportForm) -> Shown {
    let read = form.lines().and_then(|lines| Ok((form.input(&lines)?, lines)));
    let taken = match read {
        Ok((input, lines)) if input.rows.is_empty() => Ok((ImportOut::default(), lines)),
        Ok((input, lines)) => imports::run(&visit.app, &visit.actor, input).await.map(|told| (told, lines)),
        Err(error) => Err(error),
    };
    match taken {
        Ok((told, lines)) => {
            let report = Report::new(told, &lines, visit.actor.validate_only);
            // What was taken needs no second look, and may hold credentials.
            let rest =
                ImportForm { source: form.source.clone(), hash: form.hash.clone(), ..ImportForm::default() };
            let form = if report.is_check { form } else { &rest };
            ask(visit, form, Some(report), &Faults::default())
        }
        Err(error) => {
            let page = ask(visit, form, None, &Faults::of(error)?)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}
