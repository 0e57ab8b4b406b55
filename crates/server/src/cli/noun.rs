//! What all nouns share: listing, showing, changing, and finding a thing by its name.

use std::io::IsTerminal;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};

use super::client::{Request, segment};
use super::{Exit, Failure, Outcome, Session, filter, prompt};

/// The server coerces larger pages to this.
const LARGEST_PAGE: usize = 200;

/// One kind of thing that the API lists.
pub(crate) struct Noun {
    /// The word for one, also the prefix of its ids.
    pub(crate) one: &'static str,
    /// The collection.
    pub(crate) path: &'static str,
    /// Columns of tables and TSV.
    pub(crate) columns: &'static [&'static str],
    /// Words of `--where`.
    pub(crate) filters: &'static [&'static str],
    /// The member that people know it by instead of its id.
    pub(crate) name: Option<&'static str>,
}

/// Options of every list.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ListArgs {
    /// Only what fits: 'status=active owner_id=user_…' (the filters of the API)
    #[arg(long = "where", value_name = "CONDITIONS")]
    conditions: Vec<String>,
    /// Order, descending with a minus: -created_at
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Stop after about this many
    #[arg(long, value_name = "N", value_parser = parse_limit)]
    limit: Option<usize>,
    /// All of them, page by page
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Go on where an earlier list stopped
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

fn parse_limit(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| "expected a number above 0".to_owned())
}

/// Condition of a change: nobody else has changed it meanwhile.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct VersionArgs {
    /// Change it only if it still has this version
    #[arg(long, value_name = "VERSION")]
    pub(crate) if_match: Option<String>,
}

impl ListArgs {
    /// A list of everything, for `api --paginate`.
    pub(crate) fn everything() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// The request for the first page.
    pub(crate) fn request(&self, path: &str, filters: &[&str]) -> Result<Request, Failure> {
        let mut request = Request::get(path);
        request.query = filter::parse(&self.conditions, filters)?;
        if let Some(sort) = &self.sort {
            if !filters.contains(&"sort") {
                return Err(Failure::usage("--sort: this list has one order only"));
            }
            request = request.query("sort", sort);
        }
        Ok(request)
    }
}

impl Noun {
    /// The address of one.
    pub(crate) fn at(&self, id: &str) -> String {
        format!("{}/{}", self.path, segment(id))
    }

    /// `list`
    pub(crate) async fn list(&self, session: &Session, args: &ListArgs) -> Outcome {
        let request = args.request(self.path, self.filters)?;
        print_list(session, request, self.columns, args).await
    }

    /// `show`
    pub(crate) async fn show(&self, session: &Session, id: &str) -> Outcome {
        let id = self.resolve(session, id).await?;
        let answer = session.client.send(Request::get(self.at(&id))).await?;
        session.output.object(self.columns, &answer)?;
        Ok(Exit::Ok)
    }

    /// `create`
    pub(crate) async fn create(&self, session: &Session, body: Map<String, Value>) -> Outcome {
        self.change(session, Request::post(self.path, body), "created").await
    }

    /// `edit`
    pub(crate) async fn edit(
        &self,
        session: &Session,
        id: &str,
        patch: Map<String, Value>,
        version: &VersionArgs,
    ) -> Outcome {
        if patch.is_empty() {
            return Err(Failure::usage("nothing to change").hint("name what to change; see --help").into());
        }
        let id = self.resolve(session, id).await?;
        let request = Request::patch(self.at(&id), patch).if_match(version.if_match.as_ref());
        self.change(session, request, "changed").await
    }

    /// An action: `POST <path>/<id>/<action>`.
    pub(crate) async fn act(
        &self,
        session: &Session,
        id: &str,
        action: &str,
        body: Map<String, Value>,
        done: &str,
    ) -> Outcome {
        let id = self.resolve(session, id).await?;
        let request = Request::post(format!("{}/{action}", self.at(&id)), body);
        self.change(session, request, done).await
    }

    /// `delete`, after a yes. A dry run reads the thing and tells what would go.
    pub(crate) async fn delete(&self, session: &Session, id: &str) -> Outcome {
        let id = self.resolve(session, id).await?;
        if session.global.dry_run {
            session.client.send(Request::get(self.at(&id))).await?;
            session.output.note(&format!("dry run: {} {id} would be deleted", self.one));
            return Ok(Exit::Ok);
        }
        prompt::confirm(session, &format!("Delete {} {id}?", self.one))?;
        session.client.send(Request::new(http::Method::DELETE, self.at(&id))).await?;
        session.output.note(&format!("{} {id} deleted", self.one));
        Ok(Exit::Ok)
    }

    /// Sends a change, prints the object as it is now and says what happened.
    pub(crate) async fn change(&self, session: &Session, request: Request, done: &str) -> Outcome {
        let body = send_change(session, request).await?;
        if !body.is_null() {
            session.output.object(self.columns, &body)?;
        }
        let id = body["id"].as_str().unwrap_or_default();
        session.output.note(&told(session, &format!("{} {id} {done}", self.one)));
        Ok(Exit::Ok)
    }

    /// The id behind what was typed: ids stay as they are, names are looked up.
    pub(crate) async fn resolve(&self, session: &Session, typed: &str) -> anyhow::Result<String> {
        let Some(name) = self.name.filter(|_| !session.global.print_curl) else {
            return Ok(typed.to_owned());
        };
        if typed.starts_with(&format!("{}_", self.one)) {
            return Ok(typed.to_owned());
        }
        // The server finds by parts of the name too, so that the answer still has to be looked through.
        let filter = if self.filters.contains(&name) { name } else { "q" };
        let request = Request::get(self.path).query(filter, typed);
        let mut pages = Pages::new(session, request, None);
        while let Some(rows) = pages.next(Some(LARGEST_PAGE)).await? {
            if let Some(found) = rows.iter().find(|row| row[name] == typed) {
                return Ok(found["id"].as_str().unwrap_or(typed).to_owned());
            }
        }
        let told = format!("there is no {} with the {name} {typed}", self.one);
        Err(Failure::new(Exit::NotFound, told).hint(format!("keyward {}s list", self.one)).into())
    }

    /// Looks up several.
    pub(crate) async fn resolve_all(
        &self,
        session: &Session,
        typed: &[String],
    ) -> anyhow::Result<Vec<String>> {
        let mut ids = Vec::with_capacity(typed.len());
        for name in typed {
            ids.push(self.resolve(session, name).await?);
        }
        Ok(ids)
    }
}

/// Sends a change, or under `--dry-run` lets the server only check it.
pub(crate) async fn send_change(session: &Session, mut request: Request) -> anyhow::Result<Value> {
    if session.global.dry_run {
        request = request.query("validate_only", "true");
    }
    session.client.send(request).await
}

/// The message for a change, or for a dry run of it.
pub(crate) fn told(session: &Session, done: &str) -> String {
    if session.global.dry_run {
        return "dry run: the server would accept this; nothing was changed".to_owned();
    }
    done.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Adds a member if there is a value.
pub(crate) fn put(body: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
    }
}

/// Adds a list unless it is empty.
pub(crate) fn put_list(body: &mut Map<String, Value>, name: &str, values: &[String]) {
    if !values.is_empty() {
        body.insert(name.to_owned(), json!(values));
    }
}

/// Prints a list as far as it was asked for, following cursors: all, `--limit`, or one page of the
/// server's own size.
pub(crate) async fn print_list(
    session: &Session,
    request: Request,
    columns: &[&str],
    args: &ListArgs,
) -> Outcome {
    let wanted = if args.all { Some(usize::MAX) } else { args.limit };
    let progress = progress(session, args.all);
    let mut pages = Pages::new(session, request, args.cursor.clone());
    let mut rows = session.output.rows(columns);
    let mut count = 0;
    while let Some(page) = pages.next(wanted.map(|wanted| wanted - count)).await? {
        count += page.len();
        progress.set_position(count as u64);
        rows.page(page)?;
        if wanted.is_none_or(|wanted| count >= wanted) {
            break;
        }
    }
    progress.finish_and_clear();
    rows.finish(pages.cursor.as_deref())?;
    if let Some(cursor) = &pages.cursor {
        session.output.note(&format!("there are more: add --all, or go on with --cursor {cursor}"));
    }
    Ok(Exit::Ok)
}

/// The API gives no totals, so the bar counts; it shows only where it disturbs nothing.
fn progress(session: &Session, all: bool) -> ProgressBar {
    let quiet = session.global.quiet || !all || std::io::stdout().is_terminal();
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{spinner} {pos} read, {per_sec}, {elapsed}");
    let bar = ProgressBar::with_draw_target(None, target);
    bar.set_style(style.expect("the template is well formed"));
    bar
}

/// The pages of a list.
struct Pages<'a> {
    session: &'a Session,
    request: Request,
    cursor: Option<String>,
    started: bool,
}

impl<'a> Pages<'a> {
    fn new(session: &'a Session, request: Request, cursor: Option<String>) -> Self {
        Self { session, request, cursor, started: false }
    }

    /// The next page with at most so many (`None`: as the server likes); `None` behind the last.
    async fn next(&mut self, most: Option<usize>) -> anyhow::Result<Option<Vec<Value>>> {
        if self.started && self.cursor.is_none() {
            return Ok(None);
        }
        self.started = true;
        let mut request = self.request.clone();
        if let Some(most) = most {
            request = request.replace_query("limit", most.min(LARGEST_PAGE).to_string());
        }
        if let Some(cursor) = &self.cursor {
            request = request.replace_query("cursor", cursor);
        }
        let mut body = self.session.client.send(request).await?;
        self.cursor = body["next_cursor"].as_str().map(str::to_owned);
        match body["data"].take() {
            Value::Array(rows) => Ok(Some(rows)),
            _ => Err(anyhow::anyhow!("the server's answer is no list")),
        }
    }
}
