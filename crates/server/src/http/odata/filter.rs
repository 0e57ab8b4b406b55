//! `$filter` (OData 4.0, part 2, 5.1.1): a small part of it, exact, and bounded in length and depth.
//!
//! Comparisons with null are false but for `eq` and `ne`; functions of null are null; what is null at the end
//! is left out.

mod lexer;
mod parser;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::lexer::Wrong;
use super::sets::{Cell, Kind, Set};
use crate::error::{Error, Result};

/// Billionths in one, and nanoseconds in a millisecond.
const UNIT: i128 = 1_000_000_000;
const MILLISECOND: i128 = 1_000_000;

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

impl Op {
    const ALL: [Self; 6] = [Self::Eq, Self::Ne, Self::Gt, Self::Ge, Self::Lt, Self::Le];

    fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Lt => "lt",
            Self::Le => "le",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str() == word)
    }

    /// The same with its sides exchanged.
    fn turned(self) -> Self {
        match self {
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            same => same,
        }
    }

    fn holds(self, left: &Value<'_>, right: &Value<'_>) -> bool {
        match self {
            Self::Eq => left == right,
            Self::Ne => left != right,
            _ if *left == Value::Null || *right == Value::Null => false,
            Self::Gt => left > right,
            Self::Ge => left >= right,
            Self::Lt => left < right,
            Self::Le => left <= right,
        }
    }
}

/// What is asked of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Contains,
    StartsWith,
    EndsWith,
    ToLower,
    ToUpper,
}

impl Function {
    const ALL: [Self; 5] = [Self::Contains, Self::StartsWith, Self::EndsWith, Self::ToLower, Self::ToUpper];

    fn as_str(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::StartsWith => "startswith",
            Self::EndsWith => "endswith",
            Self::ToLower => "tolower",
            Self::ToUpper => "toupper",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.as_str() == word)
    }

    /// How many texts.
    fn takes(self) -> usize {
        if self.gives() == Kind::Truth { 2 } else { 1 }
    }

    fn gives(self) -> Kind {
        if matches!(self, Self::ToLower | Self::ToUpper) { Kind::Text } else { Kind::Truth }
    }
}

/// The names of the functions that a filter takes.
pub(crate) fn functions() -> [&'static str; 5] {
    Function::ALL.map(Function::as_str)
}

/// An expression whose types fit. Columns stand by their place in the set.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expr {
    Column(usize),
    Null,
    Truth(bool),
    /// Billionths.
    Number(i128),
    /// Nanoseconds since 1970.
    Time(i128),
    Text(String),
    Compare(Op, Box<Expr>, Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Call(Function, Vec<Expr>),
}

/// What an expression comes to for a row.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Value<'v> {
    Null,
    Truth(bool),
    Number(i128),
    Time(i128),
    Text(Cow<'v, str>),
}

impl<'v> Value<'v> {
    fn of(cell: &'v Cell) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Truth(truth) => Self::Truth(*truth),
            Cell::Number(number) => Self::Number(i128::from(*number) * UNIT),
            Cell::Time(at) => Self::Time(i128::from(*at) * MILLISECOND),
            Cell::Text(text) => Self::Text(Cow::Borrowed(text)),
        }
    }
}

impl Expr {
    fn column(&self) -> Option<usize> {
        match self {
            Self::Column(at) => Some(*at),
            _ => None,
        }
    }

    fn value<'v>(&'v self, row: &'v [Cell]) -> Value<'v> {
        match self {
            Self::Column(at) => row.get(*at).map_or(Value::Null, Value::of),
            Self::Null => Value::Null,
            Self::Truth(truth) => Value::Truth(*truth),
            Self::Number(number) => Value::Number(*number),
            Self::Time(at) => Value::Time(*at),
            Self::Text(text) => Value::Text(Cow::Borrowed(text)),
            Self::Compare(op, left, right) => Value::Truth(op.holds(&left.value(row), &right.value(row))),
            Self::And(all) => joined(all, row, false),
            Self::Or(any) => joined(any, row, true),
            Self::Not(inner) => match inner.value(row) {
                Value::Truth(truth) => Value::Truth(!truth),
                _ => Value::Null,
            },
            Self::Call(function, taken) => called(*function, taken, row),
        }
    }
}

/// `and` and `or`: the value that decides wins, then null.
fn joined<'v>(several: &'v [Expr], row: &'v [Cell], decides: bool) -> Value<'v> {
    let mut whole = Value::Truth(!decides);
    for each in several {
        match each.value(row) {
            Value::Truth(truth) if truth == decides => return Value::Truth(decides),
            Value::Truth(_) => {}
            _ => whole = Value::Null,
        }
    }
    whole
}

fn called<'v>(function: Function, taken: &'v [Expr], row: &'v [Cell]) -> Value<'v> {
    let text = |at: usize| match taken.get(at).map(|expr| expr.value(row)) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    };
    let pair = || text(0).zip(text(1));
    let value = match function {
        Function::Contains => pair().map(|(whole, part)| Value::Truth(whole.contains(&*part))),
        Function::StartsWith => pair().map(|(whole, part)| Value::Truth(whole.starts_with(&*part))),
        Function::EndsWith => pair().map(|(whole, part)| Value::Truth(whole.ends_with(&*part))),
        Function::ToLower => text(0).map(|text| Value::Text(Cow::Owned(text.to_lowercase()))),
        Function::ToUpper => text(0).map(|text| Value::Text(Cow::Owned(text.to_uppercase()))),
    };
    value.unwrap_or(Value::Null)
}

/// A filter of a set.
#[derive(Debug)]
pub(crate) struct Filter {
    set: &'static Set,
    expr: Expr,
}

impl Filter {
    /// Reads `$filter`.
    ///
    /// # Errors
    /// 400 with the place of what is wrong.
    pub(crate) fn parse(set: &'static Set, text: &str) -> Result<Self> {
        let wrong = |wrong: Wrong| {
            let told = format!("at character {}: {}", wrong.at, wrong.what);
            Error::malformed("$filter", "bad_filter", told)
        };
        Ok(Self { set, expr: parser::filter(set, text).map_err(wrong)? })
    }

    /// Reads the key of one entity, as it stands between parentheses in a path.
    ///
    /// # Errors
    /// 400 with the place of what is wrong.
    pub(crate) fn of_key(set: &'static Set, text: &str) -> Result<Self> {
        let wrong = |wrong: Wrong| {
            let told = format!("the key, at character {}: {}", wrong.at, wrong.what);
            Error::malformed(set.name, "bad_key", told)
        };
        Ok(Self { set, expr: parser::entity(set, text).map_err(wrong)? })
    }

    /// Whether a row is one of those asked for.
    pub(crate) fn matches(&self, row: &[Cell]) -> bool {
        self.expr.value(row) == Value::Truth(true)
    }

    /// The text that a column must be, so that no other row need be read.
    pub(crate) fn equals(&self, column: &str) -> Option<&str> {
        self.bounds(column).find_map(|(op, value)| match value {
            Expr::Text(text) if op == Op::Eq => Some(text.as_str()),
            _ => None,
        })
    }

    /// The first millisecond that a column of times can be.
    pub(crate) fn at_least(&self, column: &str) -> Option<i64> {
        let from = self.bounds(column).filter_map(|(op, value)| match (op, value) {
            (Op::Eq | Op::Ge, Expr::Time(at)) => i64::try_from(-(-at).div_euclid(MILLISECOND)).ok(),
            (Op::Gt, Expr::Time(at)) => i64::try_from(at.div_euclid(MILLISECOND) + 1).ok(),
            _ => None,
        });
        from.max()
    }

    /// The last millisecond that a column of times can be.
    pub(crate) fn at_most(&self, column: &str) -> Option<i64> {
        let until = self.bounds(column).filter_map(|(op, value)| match (op, value) {
            (Op::Eq | Op::Le, Expr::Time(at)) => i64::try_from(at.div_euclid(MILLISECOND)).ok(),
            (Op::Lt, Expr::Time(at)) => i64::try_from(-(-at).div_euclid(MILLISECOND) - 1).ok(),
            _ => None,
        });
        until.min()
    }

    /// What every row that fits compares with a column.
    fn bounds<'f>(&'f self, column: &str) -> impl Iterator<Item = (Op, &'f Expr)> + use<'f> {
        let mut all = Vec::new();
        conjuncts(&self.expr, &mut all);
        let wanted = self.set.column(column);
        all.into_iter().filter_map(move |expr| match expr {
            Expr::Compare(op, left, right) if left.column().is_some() && left.column() == wanted => {
                Some((*op, &**right))
            }
            Expr::Compare(op, left, right) if right.column().is_some() && right.column() == wanted => {
                Some((op.turned(), &**left))
            }
            _ => None,
        })
    }
}

fn conjuncts<'e>(expr: &'e Expr, into: &mut Vec<&'e Expr>) {
    match expr {
        Expr::And(all) => all.iter().for_each(|each| conjuncts(each, into)),
        other => into.push(other),
    }
}
