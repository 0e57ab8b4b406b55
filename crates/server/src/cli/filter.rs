//! `--where 'status=active owner_id=user_…'`: the words of the API's query parameters.

use super::Failure;

/// Splits conditions into names and values; values may be quoted. A name that the noun does not
/// know is refused with a suggestion.
pub(crate) fn parse(conditions: &[String], known: &[&str]) -> Result<Vec<(String, String)>, Failure> {
    let mut pairs = Vec::new();
    for word in conditions.iter().flat_map(|text| split_words(text)) {
        let Some((name, value)) = word.split_once('=') else {
            return Err(Failure::usage(format!("--where: `{word}` is not name=value")).hint(words(known)));
        };
        if !known.contains(&name) {
            return Err(unknown(name, known));
        }
        pairs.push((name.to_owned(), value.to_owned()));
    }
    Ok(pairs)
}

fn unknown(name: &str, known: &[&str]) -> Failure {
    let failure = Failure::usage(format!("--where: there is no filter `{name}`"));
    match closest(name, known) {
        Some(near) => failure.detail(format!("did you mean `{near}`?")).hint(words(known)),
        None => failure.hint(words(known)),
    }
}

fn words(known: &[&str]) -> String {
    if known.is_empty() {
        return "this list has no filters".to_owned();
    }
    format!("filters here: {}", known.join(", "))
}

/// The known word nearest to what was typed, if one is near enough to be meant.
pub(crate) fn closest<'a>(typed: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known.iter().map(|word| (strsim::jaro_winkler(typed, word), *word));
    scored.filter(|(score, _)| *score > 0.75).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, word)| word)
}

/// Words parted by blanks; single or double quotes hold a value with blanks together.
fn split_words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["status", "owner_id", "label", "created_before"];

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        parse(&[text.to_owned()], KNOWN).map_err(|failure| failure.to_string())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn words_and_quoted_values() {
        let expected = vec![pair("status", "active,expiring"), pair("label", "my key=1")];
        assert_eq!(read("status=active,expiring  label=\"my key=1\""), Ok(expected));
        assert_eq!(read("label='it''s'"), Ok(vec![pair("label", "its")]));
        assert_eq!(read("  "), Ok(vec![]));
    }

    #[test]
    fn a_typo_is_answered_with_a_suggestion() {
        let told = read("stauts=active").expect_err("an unknown filter");
        assert!(told.contains("did you mean `status`?"), "{told}");
        assert!(read("owner_id").expect_err("no value").contains("is not name=value"));
        assert!(!read("zzz=1").expect_err("nothing near").contains("did you mean"));
    }
}
