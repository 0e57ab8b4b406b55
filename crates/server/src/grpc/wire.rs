//! Messages on the wire: tonic's own codec but for garbage, which it would call our fault.

use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use prost::Message as _;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Reads checks and writes answers.
pub(super) struct Wire;

impl Codec for Wire {
    type Encode = CheckResponse;
    type Decode = CheckRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Wire {
    type Item = CheckResponse;
    type Error = Status;

    fn encode(&mut self, answer: CheckResponse, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        answer.encode(out).map_err(|why| Status::internal(why.to_string()))
    }
}

impl Decoder for Wire {
    type Item = CheckRequest;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<CheckRequest>, Status> {
        let garbage = |_| Status::invalid_argument("the message is no CheckRequest");
        CheckRequest::decode(message).map(Some).map_err(garbage)
    }
}
