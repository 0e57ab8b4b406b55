//! System query options (OData 4.0, part 2, 5.1): those that there are, and every other refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::sets::Set;
use crate::error::{Error, Result};
use crate::http::json::{pairs, single, suggestion};
use crate::store::page::crc32;

const KNOWN: [&str; 8] =
    ["$filter", "$select", "$orderby", "$top", "$skip", "$count", "$skiptoken", "$format"];
/// Those of one entity, where nothing is left to choose.
const OF_ONE: [&str; 2] = ["$select", "$format"];

/// Where a page begins that the server cut off: what is behind a link to the next page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Of the list behind the set.
    pub(crate) cursor: String,
    /// Rows that are still wanted, where they are counted.
    pub(crate) top: Option<u64>,
    /// Rows that fit and are still to be left out.
    pub(crate) skip: u64,
    /// Checksum of the filter that it was made for.
    filter: u32,
}

/// What is asked of a set.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) filter: Option<Filter>,
    /// The same as it came, for the link to the next page.
    filter_text: Option<String>,
    /// Places of the columns that are shown.
    pub(crate) shown: Vec<usize>,
    /// Their names, where they were asked for.
    pub(crate) select: Option<String>,
    /// Columns with whether they go down; nothing for the order in which rows come by themselves.
    pub(crate) order: Vec<(usize, bool)>,
    pub(crate) top: Option<u64>,
    pub(crate) skip: u64,
    pub(crate) count: bool,
    pub(crate) place: Option<Place>,
}

impl Options {
    /// Reads the query of a request for a set.
    ///
    /// # Errors
    /// 400 with the option and what is wrong about it.
    pub(crate) fn read(set: &'static Set, query: &str) -> Result<Self> {
        Self::among(&KNOWN, set, query)
    }

    /// Reads the query of a request for one entity.
    ///
    /// # Errors
    /// As [`Options::read`].
    pub(crate) fn of_one(set: &'static Set, query: &str) -> Result<Self> {
        Self::among(&OF_ONE, set, query)
    }

    fn among(known: &[&str], set: &'static Set, query: &str) -> Result<Self> {
        let mut options = Self::none(set);
        for (name, value) in system(query, known)? {
            let value = value.trim();
            match name.as_str() {
                "$filter" => {
                    options.filter = Some(Filter::parse(set, value)?);
                    options.filter_text = Some(value.to_owned());
                }
                "$select" if value != "*" => {
                    options.shown = columns(set, value)?;
                    options.select = Some(names(set, &options.shown));
                }
                "$select" => {}
                "$orderby" => options.order = order(set, value)?,
                "$top" => options.top = Some(whole("$top", value)?),
                "$skip" => options.skip = whole("$skip", value)?,
                "$count" => options.count = truth(value)?,
                "$skiptoken" => options.place = Some(place(value)?),
                // Nothing else is known.
                _ => must_be(JSON, value)?,
            }
        }
        options.check()?;
        Ok(options)
    }

    /// Everything of a set.
    fn none(set: &Set) -> Self {
        Self {
            filter: None,
            filter_text: None,
            shown: (0..set.columns.len()).collect(),
            select: None,
            order: Vec::new(),
            top: None,
            skip: 0,
            count: false,
            place: None,
        }
    }

    fn check(&self) -> Result<()> {
        let Some(place) = &self.place else { return Ok(()) };
        if place.filter != self.scope() {
            return Err(bad_token("it belongs to another filter; start again without it"));
        }
        if self.top.is_some() || self.skip > 0 || self.count || !self.order.is_empty() {
            return Err(bad_token("follow the link to the next page as it is"));
        }
        Ok(())
    }

    fn scope(&self) -> u32 {
        crc32(self.filter_text.as_deref().unwrap_or_default())
    }

    /// The query of the page that begins behind a cursor.
    pub(crate) fn next(&self, cursor: String, top: Option<u64>, skip: u64) -> Result<String> {
        let place = Place { cursor, top, skip, filter: self.scope() };
        let token = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&place).map_err(Error::internal)?);
        let pairs = [
            ("$filter", self.filter_text.as_deref()),
            ("$select", self.select.as_deref()),
            ("$skiptoken", Some(token.as_str())),
        ];
        let given: Vec<(&str, &str)> =
            pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        serde_html_form::to_string(given).map_err(Error::internal)
    }
}

/// What a format is called, and its media type.
type Format = (&'static str, &'static str);

/// That of rows.
pub(crate) const JSON: Format = ("json", "application/json");
/// That of the metadata.
pub(crate) const XML: Format = ("xml", "application/xml");

/// Reads the query where nothing but the format can be asked for.
///
/// # Errors
/// As [`Options::read`].
pub(crate) fn read_format(query: &str, format: Format) -> Result<()> {
    let asked = system(query, &["$format"])?;
    asked.iter().try_for_each(|(_, value)| must_be(format, value.trim()))
}

/// The system options of a query. Others are free for whatever stands between (part 1, 11.2.1), as often as
/// it likes.
fn system(query: &str, known: &[&str]) -> Result<Vec<(String, String)>> {
    let mut options = pairs(query)?;
    options.retain(|(name, _)| name.starts_with(['$', '@']));
    if let Some((name, _)) = options.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(Error::malformed(name, "unsupported_option", suggestion(name, known)));
    }
    single(options)
}

fn bad(option: &str, detail: impl Into<String>) -> Error {
    Error::malformed(option, "bad_value", detail)
}

fn bad_token(detail: &str) -> Error {
    Error::malformed("$skiptoken", "bad_cursor", detail)
}

fn columns(set: &Set, text: &str) -> Result<Vec<usize>> {
    let mut places = Vec::new();
    for name in text.split(',') {
        let at = find(set, "$select", name.trim())?;
        if !places.contains(&at) {
            places.push(at);
        }
    }
    Ok(places)
}

fn names(set: &Set, places: &[usize]) -> String {
    places.iter().map(|at| set.columns[*at].name).collect::<Vec<_>>().join(",")
}

fn find(set: &Set, option: &str, name: &str) -> Result<usize> {
    set.column(name).ok_or_else(|| bad(option, suggestion(name, &set.names())))
}

/// An order, unless it is that in which rows come anyhow.
fn order(set: &Set, text: &str) -> Result<Vec<(usize, bool)>> {
    let mut order = Vec::new();
    for item in text.split(',') {
        let mut words = item.split_whitespace();
        let at = find(set, "$orderby", words.next().unwrap_or_default())?;
        let down = match (words.next(), words.next()) {
            (None | Some("asc"), None) => false,
            (Some("desc"), None) => true,
            _ => return Err(bad("$orderby", format!("{} is not a property with asc or desc", item.trim()))),
        };
        order.push((at, down));
    }
    let own = set.order.iter().map(|(name, down)| (set.column(name), *down));
    let asked = order.iter().map(|(at, down)| (Some(*at), *down));
    // A part of it is enough: what is equal in that may come in any order.
    let is_own = order.len() <= set.order.len() && asked.eq(own.take(order.len()));
    Ok(if is_own { Vec::new() } else { order })
}

fn whole(option: &str, text: &str) -> Result<u64> {
    text.parse().map_err(|_| bad(option, format!("expected a whole number from 0 to {}", u64::MAX)))
}

fn truth(text: &str) -> Result<bool> {
    text.parse().map_err(|_| bad("$count", "expected true or false"))
}

fn place(text: &str) -> Result<Place> {
    let unknown = || bad_token("this is no token of this server");
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| unknown())?;
    serde_json::from_slice(&json).map_err(|_| unknown())
}

/// A format is taken as it is written here, and not what would have to be written otherwise.
fn must_be((name, media): Format, text: &str) -> Result<()> {
    let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
    let is_it = parts.next().is_some_and(|kind| kind == name || kind == media);
    if is_it && parts.all(|part| matches!(part.as_str(), "odata.metadata=minimal" | "metadata=minimal")) {
        return Ok(());
    }
    let minimal = if name == JSON.0 { ", with odata.metadata=minimal" } else { "" };
    Err(bad("$format", format!("{name} is the only format here{minimal}")))
}

#[cfg(test)]
mod tests {
    use super::super::sets;
    use super::*;

    fn keys() -> &'static Set {
        sets::find("Keys").expect("a set")
    }

    fn read(query: &str) -> Options {
        Options::read(keys(), query).unwrap_or_else(|error| panic!("{query}: {error:?}"))
    }

    fn refused(query: &str) -> (String, &'static str) {
        match Options::read(keys(), query) {
            Err(Error::Malformed(faults)) => (faults[0].pointer.clone(), faults[0].code),
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn sq_9_options_are_read() {
        let options =
            read("%24top=5&$skip=2&$count=true&$select=Label,%20Id,Label&$format=json&trace=1&trace=2");
        assert_eq!((options.top, options.skip, options.count), (Some(5), 2, true));
        assert_eq!(options.select.as_deref(), Some("Label,Id"));
        assert_eq!(options.shown, [2, 0]);
        assert_eq!(read("$select=*").shown.len(), keys().columns.len());
        assert_eq!(read("$filter=Label+eq+%27a%2Bb%27").filter_text.as_deref(), Some("Label eq 'a+b'"));
    }

    #[test]
    fn sq_9_the_order_of_the_rows_is_told_from_others() {
        for own in ["$orderby=Id", "$orderby=Id%20asc", ""] {
            assert!(read(own).order.is_empty(), "{own}");
        }
        assert_eq!(read("$orderby=Id desc").order, [(0, true)]);
        assert_eq!(read("$orderby=Label, Id desc").order, [(2, false), (0, true)]);
        let usage = sets::find("KeyUsage").expect("a set");
        assert!(Options::read(usage, "$orderby=KeyId,Hour").is_ok_and(|options| options.order.is_empty()));
        let events = sets::find("AuditEvents").expect("a set");
        assert!(Options::read(events, "$orderby=Seq desc").is_ok_and(|options| options.order.is_empty()));
        assert!(Options::read(events, "$orderby=Seq").is_ok_and(|options| options.order == [(1, false)]));
    }

    #[test]
    fn sq_9_options_are_refused() {
        for (query, option, code) in [
            ("$expand=Owner", "$expand", "unsupported_option"),
            ("$search=x", "$search", "unsupported_option"),
            ("@p=1", "@p", "unsupported_option"),
            ("$Top=1", "$Top", "unsupported_option"),
            ("$top=-1", "$top", "bad_value"),
            ("$top=x", "$top", "bad_value"),
            ("$top=1&$top=2", "$top", "duplicate_parameter"),
            ("$skip=1.5", "$skip", "bad_value"),
            ("$count=1", "$count", "bad_value"),
            ("$select=Secret", "$select", "bad_value"),
            ("$select=", "$select", "bad_value"),
            ("$orderby=Label up", "$orderby", "bad_value"),
            ("$orderby=Label desc Id", "$orderby", "bad_value"),
            ("$orderby=", "$orderby", "bad_value"),
            ("$skip=18446744073709551616", "$skip", "bad_value"),
            ("$format=atom", "$format", "bad_value"),
            ("$format=application/json;odata.metadata=full", "$format", "bad_value"),
            ("$format=json;IEEE754Compatible=true", "$format", "bad_value"),
            ("$format=xml", "$format", "bad_value"),
            ("$skiptoken=x", "$skiptoken", "bad_cursor"),
            ("$filter=", "$filter", "bad_filter"),
        ] {
            assert_eq!(refused(query), (option.to_owned(), code), "{query}");
        }
    }

    #[test]
    fn sq_9_formats_are_those_that_are_written() {
        for query in ["", "$format=json", "$format=application/json;odata.metadata=minimal", "a=1&a=2"] {
            assert!(read_format(query, JSON).is_ok(), "{query}");
        }
        assert!(read_format("$format=json; metadata=minimal", JSON).is_ok());
        assert!(
            read_format("$format=xml", XML).is_ok() && read_format("$format=application/xml", XML).is_ok()
        );
        for query in ["$format=json", "$top=1", "$format=xml&$format=xml"] {
            assert!(read_format(query, XML).is_err(), "{query}");
        }
    }

    #[test]
    fn sq_9_one_entity_takes_few_options() {
        assert!(Options::of_one(keys(), "$select=Id&$format=json&trace=1").is_ok());
        for query in ["$filter=true", "$top=1", "$count=true", "$orderby=Id", "$skiptoken=x", "$expand=Owner"]
        {
            let Err(Error::Malformed(faults)) = Options::of_one(keys(), query) else { panic!("{query}") };
            assert_eq!(faults[0].code, "unsupported_option", "{query}");
        }
    }

    #[test]
    fn sq_9_a_link_to_the_next_page_holds_what_it_needs() {
        let asked = read("$filter=Label eq 'a%2Bb'&$select=Id,Label&$top=7&$skip=3&$count=true");
        let query = asked.next("cursor".into(), Some(4), 1).expect("a query");
        let next = read(&query);
        let place = next.place.clone().expect("a place");
        assert_eq!((place.cursor.as_str(), place.top, place.skip), ("cursor", Some(4), 1));
        assert_eq!((next.select.as_deref(), next.count), (Some("Id,Label"), false));
        assert_eq!(next.filter_text, asked.filter_text);
        let other = query.replacen("eq", "ne", 1);
        assert_eq!(refused(&other).1, "bad_cursor");
        assert_eq!(refused(&format!("{query}&$top=1")).1, "bad_cursor");
    }
}
