//! What HTTP itself must be like, whatever the route.

mod connections;
mod cors;
mod faults;
mod framing;
mod limits;
mod metrics;
mod paths;
mod tls;
