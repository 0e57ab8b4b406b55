//! What was probably meant by an unknown key.

use strsim::damerau_levenshtein;

use super::environment::START;
use super::manual::manual;
use super::tree;

/// The known key nearest to an unknown path: the same but for capitals, else a neighbour with a similar
/// name, else the same name in another section, else a similar path.
pub(super) fn for_path(unknown: &str) -> Option<String> {
    if let Some(path) = known().find(|path| path.eq_ignore_ascii_case(unknown)) {
        return Some(path.to_owned());
    }
    let unknown = unknown.to_ascii_lowercase();
    let unknown = unknown.as_str();
    let (section, name) = (tree::parent(unknown), tree::name(unknown));
    let neighbours = known().filter(|path| tree::parent(path) == section);
    let namesakes: Vec<&str> = known().filter(|path| tree::name(path) == name).collect();
    nearest(name, neighbours.map(|path| (tree::name(path).to_owned(), path)))
        .or_else(|| namesakes.first().copied().filter(|_| namesakes.len() == 1))
        .or_else(|| nearest(unknown, known().map(|path| (path.to_owned(), path))))
        .map(str::to_owned)
}

/// The known variable nearest to an unknown one.
pub(super) fn for_variable(unknown: &str) -> Option<String> {
    let variables = manual().leaves.iter().map(|(path, _)| (variable(path), path.as_str()));
    nearest(&unknown.to_ascii_uppercase(), variables).map(variable)
}

fn variable(path: &str) -> String {
    format!("{START}{}", path.to_uppercase().replace('.', "__"))
}

fn known() -> impl Iterator<Item = &'static str> {
    let leaves = manual().leaves.iter().map(|(path, _)| path.as_str());
    leaves.chain(manual().sections.iter().map(String::as_str))
}

/// The path whose name is nearest, if it is near: a third of the name may differ.
fn nearest<'a>(unknown: &str, candidates: impl Iterator<Item = (String, &'a str)>) -> Option<&'a str> {
    let measured = candidates.map(|(name, path)| (damerau_levenshtein(unknown, &name), path));
    let (distance, path) = measured.min_by_key(|(distance, _)| *distance)?;
    // The common start says nothing about how near two variables are.
    let length = unknown.strip_prefix(START).unwrap_or(unknown).chars().count();
    (distance <= (length / 3).max(1)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_the_key() {
        let cases = [
            ("server.lisen", "server.listen"),
            ("databse", "database"),
            ("listen_address.x", ""),
            ("cert_file", "server.tls.cert_file"),
            ("server.max_staleness", "verify.max_staleness"),
            ("verify.maxstaleness", "verify.max_staleness"),
            ("database.timeout_seconds", "database.timeout"),
            ("server.drain_seconds", ""),
            ("wholly.unrelated", ""),
            ("listen", ""),
            ("Verify.Max_Staleness", "verify.max_staleness"),
            ("SERVER.LISEN", "server.listen"),
            ("apikeyauth.enabled", "apiKeyAuth.enabled"),
        ];
        for (unknown, meant) in cases {
            assert_eq!(for_path(unknown).unwrap_or_default(), meant, "{unknown}");
        }
    }

    #[test]
    fn a_typing_error_finds_the_variable() {
        let cases = [
            ("KEYWARD_SERVER_LISTEN", "KEYWARD_SERVER__LISTEN"),
            ("KEYWARD_DATABASE__ULR", "KEYWARD_DATABASE__URL"),
            ("KEYWARD_SERVER__TLS_CERT_FILE", "KEYWARD_SERVER__TLS__CERT_FILE"),
            ("KEYWARD_FOO", ""),
        ];
        for (unknown, meant) in cases {
            assert_eq!(for_variable(unknown).unwrap_or_default(), meant, "{unknown}");
        }
    }
}
