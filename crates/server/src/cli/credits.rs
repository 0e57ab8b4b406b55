//! Credits on the command line: how many, and how they come back.

use clap::Args;
use serde_json::{Map, Value, json};

use super::noun::put;
use super::span;

/// Credits of a key or of a user.
#[derive(Args, Debug)]
pub(super) struct CreditArgs {
    /// Number of uses; a user's are spent by all keys of the user together
    #[arg(long, value_name = "N")]
    credits: Option<u64>,
    /// Uses that come back by themselves: 100/day (hour, day, week, month in UTC, or a span as in 100/90m)
    #[arg(long, value_name = "N/TIME", value_parser = parse_refill)]
    refill: Option<Value>,
    /// No more than so many uses after a refill (default: as many as were granted)
    #[arg(long, value_name = "N", requires = "refill")]
    refill_cap: Option<u64>,
}

impl CreditArgs {
    /// Adds the members of the request body.
    pub(super) fn put(self, body: &mut Map<String, Value>) {
        put(body, "credits", self.credits);
        let refill = self.refill.map(|mut refill| {
            if let Some(cap) = self.refill_cap {
                refill["cap"] = cap.into();
            }
            refill
        });
        put(body, "credit_refill", refill);
    }
}

/// Reads `100/day`.
fn parse_refill(text: &str) -> Result<Value, String> {
    let (amount, every) = text.split_once('/').ok_or("expected a number and a time, as in 100/day")?;
    let amount: u64 = amount.parse().map_err(|_| format!("`{amount}` is no number of uses"))?;
    Ok(match every {
        "hour" | "day" | "week" | "month" => json!({ "amount": amount, "every": every }),
        span => json!({ "amount": amount, "every_seconds": span::parse(span)?.as_secs() }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refills_are_read() {
        assert_eq!(parse_refill("100/day"), Ok(json!({ "amount": 100, "every": "day" })));
        assert_eq!(parse_refill("7/90m"), Ok(json!({ "amount": 7, "every_seconds": 5400 })));
        for wrong in ["100", "x/day", "100/year", "/day", "100/"] {
            assert!(parse_refill(wrong).is_err(), "{wrong} was accepted");
        }
    }
}
