//! What can be said of the markup of a page without a browser: what is opened is closed, ids are there
//! once and pointed at rightly, every field has a name.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

/// Elements without content.
const VOID: [&str; 8] = ["area", "br", "col", "hr", "img", "input", "link", "meta"];
/// What a browser ends an open paragraph for.
const NOT_IN_P: [&str; 16] = [
    "details", "dialog", "div", "dl", "fieldset", "form", "h1", "h2", "h3", "hr", "ol", "p", "pre",
    "section", "table", "ul",
];
/// Attributes that name other elements by their ids.
const POINTERS: [&str; 4] = ["aria-controls", "aria-describedby", "aria-labelledby", "for"];

static ATTRIBUTE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"([^ \t\r\n"'=<>/]+)(?:=(?:"([^"]*)"|'([^']*)'))?"#).expect("a pattern"));

/// One tag: name and attributes.
struct Tag<'p> {
    name: &'p str,
    attributes: Vec<(&'p str, &'p str)>,
    is_end: bool,
    /// It ends itself, as in SVG.
    is_closed: bool,
}

impl<'p> Tag<'p> {
    /// What stands between the angle brackets.
    fn read(text: &'p str) -> Self {
        let is_end = text.starts_with('/');
        let text = text.trim_start_matches('/');
        let (name, rest) = text.split_once(|c: char| c.is_whitespace() || c == '/').unwrap_or((text, ""));
        let attribute = |found: regex::Captures<'p>| {
            let value = found.get(2).or_else(|| found.get(3)).map_or("", |value| value.as_str());
            (found.get(1).map_or("", |name| name.as_str()), value)
        };
        let attributes = ATTRIBUTE.captures_iter(rest).map(attribute).collect();
        Self { name, attributes, is_end, is_closed: text.ends_with('/') || VOID.contains(&name) }
    }

    fn attribute(&self, name: &str) -> Option<&'p str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Whether it is a field that people fill in.
    fn is_field(&self) -> bool {
        let is_seen = self.attribute("type") != Some("hidden") && self.attribute("aria-hidden").is_none();
        ["input", "select", "textarea"].contains(&self.name) && is_seen
    }
}

/// Every tag of a page, and the text around them.
fn parts(page: &str) -> (Vec<Tag<'_>>, String) {
    let (mut tags, mut text, mut rest) = (Vec::new(), String::new(), page);
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        let end = end_of_tag(after);
        if !after.starts_with(['!', '?']) {
            tags.push(Tag::read(&after[..end]));
        }
        rest = after.get(end + 1..).unwrap_or_default();
    }
    text.push_str(rest);
    (tags, text)
}

/// Where a tag ends: `>` may stand in the value of an attribute.
fn end_of_tag(text: &str) -> usize {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    text.len()
}

/// What was read so far.
#[derive(Default)]
struct Reading<'p> {
    open: Vec<&'p str>,
    ids: BTreeSet<&'p str>,
    /// Ids that attributes name, with the element that has the attribute.
    pointers: Vec<(&'p str, &'p str)>,
    /// Ids of fields that only a label can name.
    fields: Vec<&'p str>,
    labels: BTreeSet<&'p str>,
    headings: usize,
    faults: Vec<String>,
}

/// What is wrong with a page; nothing is right.
pub(super) fn faults(page: &str) -> Vec<String> {
    let (tags, text) = parts(page);
    let mut reading = Reading::default();
    for tag in &tags {
        match tag.is_end {
            true => reading.close(tag.name),
            false => reading.open(tag),
        }
    }
    reading.end();
    if text.contains("{{") || text.contains("{%") {
        reading.faults.push("a place of the template stands there unfilled".into());
    }
    if page.contains("<title> ") {
        reading.faults.push("the title says nothing".into());
    }
    reading.faults
}

impl<'p> Reading<'p> {
    fn open(&mut self, tag: &Tag<'p>) {
        let name = tag.name;
        if self.open.contains(&"p") && NOT_IN_P.contains(&name) {
            self.faults.push(format!("<{name}> in <p>"));
        }
        if ["form", "a", "button", "label"].contains(&name) && self.open.contains(&name) {
            self.faults.push(format!("<{name}> in <{name}>"));
        }
        if name == "html" && tag.attribute("lang").is_none_or(str::is_empty) {
            self.faults.push("no language".into());
        }
        self.headings += usize::from(name == "h1");
        self.note_ids(tag);
        self.note_field(tag);
        if !tag.is_closed {
            self.open.push(name);
        }
    }

    fn note_ids(&mut self, tag: &Tag<'p>) {
        if let Some(id) = tag.attribute("id")
            && !self.ids.insert(id)
        {
            self.faults.push(format!("the id {id} is there twice"));
        }
        for pointer in POINTERS {
            let ids = tag.attribute(pointer).unwrap_or_default().split_whitespace();
            self.pointers.extend(ids.map(|id| (id, tag.name)));
        }
        if tag.name == "label" {
            self.labels.extend(tag.attribute("for"));
        }
    }

    fn note_field(&mut self, tag: &Tag<'p>) {
        let has_name = ["aria-label", "aria-labelledby"].iter().any(|name| tag.attribute(name).is_some());
        if !tag.is_field() || has_name || self.open.contains(&"label") {
            return;
        }
        match tag.attribute("id") {
            Some(id) => self.fields.push(id),
            None => self.faults.push(format!("<{} name={:?}> has no label", tag.name, tag.attribute("name"))),
        }
    }

    fn close(&mut self, name: &'p str) {
        match self.open.pop() {
            Some(open) if open == name => {}
            open => self.faults.push(format!("</{name}> ends {open:?}")),
        }
    }

    fn end(&mut self) {
        if !self.open.is_empty() {
            self.faults.push(format!("never closed: {:?}", self.open));
        }
        if self.headings != 1 {
            self.faults.push(format!("{} first headings", self.headings));
        }
        for (id, name) in &self.pointers {
            if !self.ids.contains(id) {
                self.faults.push(format!("<{name}> points at {id}, which is not there"));
            }
        }
        for id in &self.fields {
            if !self.labels.contains(id) {
                self.faults.push(format!("no label for {id}"));
            }
        }
    }
}

#[test]
fn what_is_wrong_is_found() {
    let page =
        |body: &str| format!("<!doctype html><html lang=\"en\"><body><h1>A > b</h1>{body}</body></html>");
    for good in [
        "<p>a<br>b</p><!-- <p> --><svg><rect x=\"1\"/></svg>",
        "<label for=\"a\">A</label><input id=\"a\" value=\"1 > 0\"><input type=\"hidden\" name=\"b\">",
        "<label><input type=\"checkbox\" checked> A</label><select aria-label='b'></select>",
    ] {
        assert_eq!(faults(&page(good)), [""; 0], "{good}");
    }
    for (bad, fault) in [
        ("<p><ul></ul></p>", "<ul> in <p>"),
        ("<b><i></b></i>", "</b> ends Some(\"i\")"),
        ("<div>", "</body> ends Some(\"div\")"),
        ("<h1></h1>", "2 first headings"),
        ("<i id=\"a\"></i><b id=\"a\"></b>", "the id a is there twice"),
        ("<i aria-describedby=\"a b\" id=\"a\"></i>", "<i> points at b, which is not there"),
        ("<input id=\"a\">", "no label for a"),
        ("<p>{{ key }}</p>", "a place of the template stands there unfilled"),
    ] {
        let found = faults(&page(bad));
        assert!(found.iter().any(|found| found == fault), "{bad}: {found:?}");
    }
}
