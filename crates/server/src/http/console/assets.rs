//! Style, scripts and symbols: inside the binary, under names that change with what they hold.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::http::problem::Problem;
use crate::random::to_hex;

struct Asset {
    /// As templates name it.
    name: &'static str,
    /// With a hash of the content in it.
    file: String,
    kind: &'static str,
    content: &'static [u8],
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let asset = |name: &'static str, kind, content: &'static [u8]| {
        let (stem, end) = name.split_once('.').unwrap_or((name, ""));
        let hash = &to_hex(&Sha256::digest(content))[..12];
        Asset { name, file: format!("{stem}-{hash}.{end}"), kind, content }
    };
    let script = "text/javascript; charset=utf-8";
    vec![
        asset("console.css", "text/css; charset=utf-8", include_bytes!("../../../assets/console.css")),
        asset("console.js", script, include_bytes!("../../../assets/console.js")),
        asset("palette.js", script, include_bytes!("../../../assets/palette.js")),
        asset("session.js", script, include_bytes!("../../../assets/session.js")),
        asset("htmx.js", script, include_bytes!("../../../assets/vendor/htmx.min.js")),
        asset("hx-csp.js", script, include_bytes!("../../../assets/vendor/hx-csp.min.js")),
        asset("icons.svg", "image/svg+xml", include_bytes!("../../../assets/icons.svg")),
    ]
});

/// The path of an asset.
pub(super) fn path(name: &str) -> String {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    format!("/console/assets/{}", asset.map_or(name, |asset| &asset.file))
}

/// The asset of a path.
pub(super) async fn show(Path(file): Path<String>) -> Result<Response, Problem> {
    let asset = ASSETS.iter().find(|asset| asset.file == file).ok_or(Error::NotFound)?;
    let headers = [(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, asset.content).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_4_what_is_vendored_is_what_was_published() {
        for (name, hash) in [
            ("htmx.js", "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"),
            ("hx-csp.js", "a7e1e6711ae6c3e50ad300fba7936cbe8d07599cdae313414a179ddd6b26e143"),
        ] {
            let asset = ASSETS.iter().find(|asset| asset.name == name).expect("an asset");
            assert_eq!(to_hex(&Sha256::digest(asset.content)), hash, "{name}");
        }
    }

    #[test]
    fn web_4_no_asset_asks_another_host_and_our_scripts_are_small() {
        let content = |name: &str| {
            let asset = ASSETS.iter().find(|asset| asset.name == name).expect("an asset");
            std::str::from_utf8(asset.content).expect("text")
        };
        assert!(!content("console.css").contains("url("), "style asks for nothing");
        let ours = ["console.js", "palette.js", "session.js"].map(content);
        assert!(ours.iter().all(|script| !script.contains("http")), "scripts ask no other host");
        assert!(ours.iter().map(|script| script.len()).sum::<usize>() <= 25_000, "more would need islands");
    }
}
