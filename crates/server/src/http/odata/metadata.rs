//! `$metadata`: the sets as CSDL 4.0, written out of their tables.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::filter;
use super::sets::{self, Column, Kind, Set};

/// The namespace of all types.
const NAMESPACE: &str = "Keyward";
/// The vocabulary that tells clients what a service takes, so that they ask for nothing else.
const CAPABILITIES: &str = "Org.OData.Capabilities.V1";
const VOCABULARIES: &str = "https://docs.oasis-open.org/odata/odata-vocabularies/v4.0/vocabularies";

static DOCUMENT: LazyLock<String> = LazyLock::new(write);

/// The document.
pub(crate) fn document() -> &'static str {
    &DOCUMENT
}

// Nothing in names and types needs escaping.
fn write() -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <edmx:Edmx Version=\"4.0\" xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\">\n",
    );
    let _ = writeln!(
        text,
        "<edmx:Reference Uri=\"{VOCABULARIES}/{CAPABILITIES}.xml\">\n\
         <edmx:Include Namespace=\"{CAPABILITIES}\"/>\n</edmx:Reference>\n<edmx:DataServices>"
    );
    let _ = writeln!(
        text,
        "<Schema Namespace=\"{NAMESPACE}\" xmlns=\"http://docs.oasis-open.org/odata/ns/edm\">"
    );
    for set in sets::ALL {
        entity_type(&mut text, set);
    }
    text.push_str("<EntityContainer Name=\"Feed\">\n");
    for set in sets::ALL {
        entity_set(&mut text, set);
    }
    let _ = writeln!(text, "<Annotation Term=\"{CAPABILITIES}.FilterFunctions\">\n<Collection>");
    for function in filter::functions() {
        let _ = writeln!(text, "<String>{function}</String>");
    }
    text.push_str("</Collection>\n</Annotation>\n");
    text.push_str("</EntityContainer>\n</Schema>\n</edmx:DataServices>\n</edmx:Edmx>\n");
    text
}

fn entity_set(text: &mut String, set: &Set) {
    let (name, entity) = (set.name, set.entity);
    let _ = writeln!(text, "<EntitySet Name=\"{name}\" EntityType=\"{NAMESPACE}.{entity}\">");
    for (term, property) in [("ExpandRestrictions", "Expandable"), ("SearchRestrictions", "Searchable")] {
        let _ = writeln!(
            text,
            "<Annotation Term=\"{CAPABILITIES}.{term}\"><Record>\
             <PropertyValue Property=\"{property}\" Bool=\"false\"/></Record></Annotation>"
        );
    }
    text.push_str("</EntitySet>\n");
}

fn entity_type(text: &mut String, set: &Set) {
    let _ = writeln!(text, "<EntityType Name=\"{}\">\n<Key>", set.entity);
    for key in set.keys {
        let _ = writeln!(text, "<PropertyRef Name=\"{key}\"/>");
    }
    text.push_str("</Key>\n");
    for column in set.columns {
        property(text, column);
    }
    text.push_str("</EntityType>\n");
}

fn property(text: &mut String, column: &Column) {
    let (name, kind) = (column.name, column.kind.edm());
    let precision = if column.kind == Kind::Time { " Precision=\"3\"" } else { "" };
    let nullable = if column.required { " Nullable=\"false\"" } else { "" };
    let _ = writeln!(text, "<Property Name=\"{name}\" Type=\"{kind}\"{precision}{nullable}/>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sq_9_every_set_is_described_with_its_keys() {
        let text = document();
        for set in sets::ALL {
            let entity = format!("<EntityType Name=\"{}\">", set.entity);
            assert!(text.contains(&entity), "{entity}");
            assert!(text.contains(&format!(
                "<EntitySet Name=\"{}\" EntityType=\"Keyward.{}\">",
                set.name, set.entity
            )));
        }
        assert!(text.contains(
            "<Property Name=\"CreatedAt\" Type=\"Edm.DateTimeOffset\" Precision=\"3\" Nullable=\"false\"/>"
        ));
        assert!(text.contains("<Property Name=\"OwnerId\" Type=\"Edm.String\"/>"));
        assert_eq!(text.matches("<EntityType ").count(), 4);
    }

    #[test]
    fn sq_9_what_can_be_asked_is_described() {
        let text = document();
        let reference = format!("<edmx:Reference Uri=\"{VOCABULARIES}/{CAPABILITIES}.xml\">");
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} is not in {text}"));
        assert!(at(&reference) < at("<edmx:DataServices>"));
        let functions = at("<Annotation Term=\"Org.OData.Capabilities.V1.FilterFunctions\">");
        assert!(at("<EntityContainer ") < functions && functions < at("</EntityContainer>"));
        for function in ["contains", "startswith", "endswith", "tolower", "toupper"] {
            assert!(at(&format!("<String>{function}</String>")) > functions);
        }
        for none in ["<PropertyValue Property=\"Expandable\" Bool=\"false\"/>", "Searchable\" Bool=\"false\""]
        {
            assert_eq!(text.matches(none).count(), sets::ALL.len(), "{none}");
        }
        for part in ["Annotation", "Record", "EntitySet", "Collection", "edmx:Reference"] {
            let opened =
                text.matches(&format!("<{part}>")).count() + text.matches(&format!("<{part} ")).count();
            assert_eq!(opened, text.matches(&format!("</{part}>")).count(), "{part}");
        }
    }
}
