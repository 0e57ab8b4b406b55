//! The page about tokens for agents does what it says.

use crate::support::Server;
use crate::tokens::NAMED;
use crate::tokens::documentation::follow;

#[test]
fn x_12_the_blocks_of_the_page_work_from_top_to_bottom() {
    let server = Server::with_config(NAMED);
    assert_eq!(follow(&server, "docs/how-to/embed/agents.md"), (6, 3));
    let left = server.root().get("/v1/audit-events?action=token.revoke").ok();
    assert_eq!(left["data"].as_array().map(Vec::len), Some(1));
}
