use proptest::prelude::*;

use super::super::sets::{self, Cell, Kind, Row, Set};
use super::*;

fn keys() -> &'static Set {
    sets::find("Keys").expect("a set")
}

fn refused(text: &str) -> String {
    let error = Filter::parse(keys(), text).expect_err("must be refused");
    let Error::Malformed(faults) = error else { panic!("{error:?}") };
    assert_eq!((faults[0].pointer.as_str(), faults[0].code), ("$filter", "bad_filter"));
    faults[0].detail.clone()
}

/// A row of nothing but what is given.
fn row(cells: &[(&str, Cell)]) -> Row {
    let mut row = vec![Cell::Null; keys().columns.len()];
    for (name, cell) in cells {
        row[keys().column(name).expect("a column")] = cell.clone();
    }
    row
}

fn sample() -> Row {
    row(&[
        ("Id", Cell::Text("key_1".into())),
        ("Label", Cell::Text("O'Brien's Export".into())),
        ("Status", Cell::Text("active".into())),
        ("NeverExpires", Cell::Truth(false)),
        ("ExpiresAt", Cell::Time(1_801_396_800_000)),
        ("Version", Cell::Number(7)),
    ])
}

fn holds(text: &str) -> bool {
    Filter::parse(keys(), text).unwrap_or_else(|error| panic!("{text}: {error:?}")).matches(&sample())
}

#[test]
fn sq_9_filters_that_hold() {
    for text in [
        "Status eq 'active'",
        "'active' eq Status",
        "Label eq 'O''Brien''s Export'",
        "contains(Label,'Brien') and startswith(Label, 'O''') and endswith(Label,'Export')",
        "contains(tolower(Label),'export')",
        "toupper(Status) eq 'ACTIVE'",
        "Version eq 7 and Version gt 6.5 and Version le 7.000000000 and Version ge -1 and Version lt 8",
        "ExpiresAt eq 2027-01-31T12:00:00Z",
        "ExpiresAt eq 2027-01-31T13:00:00.000+01:00",
        "ExpiresAt gt 2027-01-31T11:59:59.999999Z and ExpiresAt lt 2027-01-31T12:00:00.0000001Z",
        "ExpiresAt lt 9999-12-31T23:59:59Z and ExpiresAt lt 9999-12-31T23:59:59.9999999+01:00",
        "ExpiresAt le 9999-12-30T23:00:00Z and not (ExpiresAt ge 9999-12-31T00:00:00Z)",
        "OwnerId eq null",
        "null eq OwnerId and null eq null",
        "OwnerId ne 'user_1'",
        "not (Status eq 'revoked') and not NeverExpires",
        "NeverExpires eq false",
        "Status eq 'x' or Status eq 'active' and Version eq 7",
        "(Status eq 'x' or Status eq 'active') and ((Version eq 7))",
        "true",
        "not not true",
        "  \tVersion   eq\t7 ",
        "contains(Label,'') eq true",
    ] {
        assert!(holds(text), "{text}");
    }
}

#[test]
fn sq_9_filters_that_do_not() {
    for text in [
        "Status eq 'Active'",
        "Status eq 'active' and Version ne 7",
        "false",
        "not true",
        "OwnerId ne null",
        // Nothing is known of what is null, and what is not known is left out.
        "OwnerId gt 'a' or OwnerId le 'a'",
        "contains(OwnerId,'a')",
        "not contains(OwnerId,'a')",
        "contains(OwnerId,'a') eq false",
        "contains(OwnerId,'a') and true",
        "LastUsedAt lt 2027-01-31T12:00:00Z",
        "Version gt 7.000000001",
    ] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn sq_9_what_is_wrong_is_told_with_its_place() {
    for (text, told) in [
        ("", "at character 1: expected a value, found the end"),
        ("Status", "at character 1: expected something that is true or false, such as a comparison"),
        ("Status eq", "at character 10: expected a value, found the end"),
        ("Stauts eq 'x'", "at character 1: there is no Stauts; did you mean Status?"),
        ("Status eq active", "at character 11: there is no active; "),
        ("Status eq 'x", "at character 11: this text has no end: a ' is missing"),
        ("Status eq 5", "at character 8: eq compares Edm.String with Edm.Int64"),
        ("Version eq '5'", "at character 9: eq compares Edm.Int64 with Edm.String"),
        ("NeverExpires gt false", "at character 14: gt takes nothing that is true or false"),
        ("Status eq 'x' and", "at character 18: expected a value, found the end"),
        ("Status eq 'x' Status", "at character 15: expected and, or, or the end, found Status"),
        ("Status eq 'x')", "at character 14: expected and, or, or the end, found )"),
        ("(Status eq 'x'", "at character 15: expected ), found the end"),
        ("Status and true", "at character 1: and takes what is true or false"),
        ("not Status", "at character 5: expected something that is true or false"),
        ("not Status eq 'x'", "at character 5: expected something that is true or false"),
        ("contians(Label,'x')", "at character 1: there is no contians; did you mean contains?"),
        ("contains(Label)", "at character 15: expected ,, found )"),
        ("contains(Version,'x')", "at character 10: contains takes Edm.String, not Edm.Int64"),
        ("Version eq 1.0000000001", "at character 12: 1.0000000001 is neither a number nor a time"),
        ("Version eq 1e5", "at character 12: 1e5 is neither"),
        ("Version eq 5L", "at character 12: 5L is neither"),
        ("CreatedAt gt 2027-01-31", "at character 14: 2027-01-31 is neither"),
        ("CreatedAt gt 2027-01-31T12:00:00", "at character 14: 2027-01-31T12:00:00 is neither"),
        ("CreatedAt gt 2027-02-30T12:00:00Z", "at character 14: 2027-02-30T12:00:00Z is neither"),
        ("CreatedAt lt 9999-12-32T00:00:00Z", "at character 14: 9999-12-32T00:00:00Z is neither"),
        (
            "CreatedAt gt 2027-01-31T12:00:00 01:00",
            "at character 14: 2027-01-31T12:00:00 is neither a number nor a time with its offset, \
             as in 2027-01-31T12:00:00Z; write + as %2B, or use Z",
        ),
        ("Owner/Name eq 'x'", "at character 6: '/' cannot stand here"),
        ("Größe eq 1", "at character 3: 'ö' cannot stand here"),
        ("Status = 'x'", "at character 8: expected eq, ne, gt, ge, lt or le, found ="),
        ("Status eq 'x' eq true", "at character 15: expected and, or, or the end, found eq"),
        ("Status in ('x')", "at character 8: expected eq, ne, gt, ge, lt or le, found in"),
    ] {
        let found = refused(text);
        assert!(found.starts_with(told), "{text}: {found}");
    }
}

#[test]
fn sq_9_length_and_depth_are_bounded() {
    let nested = |n: usize| format!("{}true{}", "(".repeat(n), ")".repeat(n));
    assert!(holds(&nested(32)));
    assert!(refused(&nested(33)).ends_with("nested deeper than 32 levels"));
    assert!(refused(&format!("{} true", "not ".repeat(33))).ends_with("nested deeper than 32 levels"));
    assert!(refused(&format!("{}Label", "tolower(".repeat(33))).ends_with("nested deeper than 32 levels"));
    let wide = vec!["Version eq 7"; 240].join(" and ");
    assert!(holds(&wide) && wide.len() <= 4096);
    assert!(refused(&format!("{wide} and {wide}")).contains("longer than 4096 bytes"));
}

#[test]
fn sq_9_rows_that_cannot_fit_need_not_be_read() {
    let of = |text: &str| Filter::parse(keys(), text).expect("a filter");
    let filter = of(
        "OwnerId eq 'user_1' and (CreatedAt ge 2027-01-31T12:00:00.0005Z and (CreatedAt lt 2027-02-01T00:00:00Z))",
    );
    assert_eq!((filter.equals("OwnerId"), filter.equals("Label")), (Some("user_1"), None));
    assert_eq!(filter.at_least("CreatedAt"), Some(1_801_396_800_001));
    assert_eq!(filter.at_most("CreatedAt"), Some(1_801_439_999_999));
    let filter = of("'user_1' eq OwnerId and 2027-01-31T12:00:00Z le CreatedAt");
    assert_eq!((filter.equals("OwnerId"), filter.at_most("CreatedAt")), (Some("user_1"), None));
    assert_eq!(filter.at_least("CreatedAt"), Some(1_801_396_800_000));
    for text in
        ["OwnerId eq 'a' or true", "not (OwnerId eq 'a')", "OwnerId ne 'a'", "tolower(OwnerId) eq 'a'"]
    {
        assert_eq!(of(text).equals("OwnerId"), None, "{text}");
    }
}

#[test]
fn sq_9_keys_of_entities() {
    let usage = sets::find("KeyUsage").expect("a set");
    for (set, text) in [
        (keys(), "'key_1'"),
        (keys(), "Id='key_1'"),
        (usage, "Hour=2027-01-31T12:00:00Z,KeyId='key_1',Outcome='ok'"),
    ] {
        let filter = Filter::of_key(set, text).expect(text);
        assert_eq!(filter.equals(set.keys[0]), Some("key_1"), "{text}");
    }
    for (set, text) in [
        (keys(), ""),
        (keys(), "key_1"),
        (keys(), "5"),
        (keys(), "null"),
        (keys(), "Label='x'"),
        (keys(), "Id='a',Id='b'"),
        (keys(), "'a','b'"),
        (keys(), "'a') or ('b'"),
        (keys(), "tolower('a')"),
        (keys(), "Id=Id"),
        (usage, "'key_1'"),
        (usage, "KeyId='key_1',Outcome='ok'"),
    ] {
        let error = Filter::of_key(set, text).expect_err(text);
        assert!(matches!(&error, Error::Malformed(faults) if faults[0].code == "bad_key"), "{text}");
    }
}

/// An expression as it is written.
fn written(expr: &Expr) -> String {
    let list = |all: &[Expr], glue: &str| {
        let all: Vec<String> = all.iter().map(|each| format!("({})", written(each))).collect();
        all.join(glue)
    };
    match expr {
        Expr::Column(at) => keys().columns[*at].name.into(),
        Expr::Null => "null".into(),
        Expr::Truth(truth) => truth.to_string(),
        Expr::Number(number) => {
            let sign = if *number < 0 { "-" } else { "" };
            let size = number.abs();
            format!("{sign}{}.{:09}", size / UNIT, size % UNIT)
        }
        Expr::Time(at) => jiff::Timestamp::from_nanosecond(*at).expect("in range").to_string(),
        Expr::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Expr::Compare(op, left, right) => {
            format!("({}) {} ({})", written(left), op.as_str(), written(right))
        }
        Expr::And(all) => list(all, " and "),
        Expr::Or(any) => list(any, " or "),
        Expr::Not(inner) => format!("not ({})", written(inner)),
        Expr::Call(function, taken) => {
            let taken: Vec<String> = taken.iter().map(written).collect();
            format!("{}({})", function.as_str(), taken.join(","))
        }
    }
}

fn columns(kind: Kind) -> impl Strategy<Value = Expr> {
    let all: Vec<usize> = (0..keys().columns.len()).filter(|at| keys().columns[*at].kind == kind).collect();
    prop::sample::select(all).prop_map(Expr::Column)
}

fn texts() -> impl Strategy<Value = Expr> {
    let plain = prop_oneof![columns(Kind::Text), "[ -~äß']{0,8}".prop_map(Expr::Text)];
    let function = prop::sample::select(vec![Function::ToLower, Function::ToUpper]);
    prop_oneof![
        3 => plain.clone(),
        1 => (function, plain).prop_map(|(function, text)| Expr::Call(function, vec![text])),
    ]
}

fn numbers() -> impl Strategy<Value = Expr> {
    prop_oneof![columns(Kind::Number), any::<i64>().prop_map(|number| Expr::Number(number.into()))]
}

fn times() -> impl Strategy<Value = Expr> {
    let some = (0_i64..4_000_000_000_000).prop_map(|ms| Expr::Time(i128::from(ms) * MILLISECOND + 1));
    prop_oneof![columns(Kind::Time), some]
}

fn ops() -> impl Strategy<Value = Op> {
    prop::sample::select(Op::ALL.to_vec())
}

fn compare((op, left, right): (Op, Expr, Expr)) -> Expr {
    Expr::Compare(op, Box::new(left), Box::new(right))
}

fn truths() -> impl Strategy<Value = Expr> {
    let pairs = prop::sample::select(vec![Function::Contains, Function::StartsWith, Function::EndsWith]);
    let leaf = prop_oneof![
        any::<bool>().prop_map(Expr::Truth),
        columns(Kind::Truth),
        (ops(), texts(), texts()).prop_map(compare),
        (ops(), numbers(), numbers()).prop_map(compare),
        (ops(), times(), times()).prop_map(compare),
        (ops(), texts(), Just(Expr::Null)).prop_map(compare),
        (pairs, texts(), texts()).prop_map(|(function, one, two)| Expr::Call(function, vec![one, two])),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
            inner.prop_map(|expr| Expr::Not(Box::new(expr))),
        ]
    })
}

fn cells() -> impl Strategy<Value = Row> {
    let of = |kind| match kind {
        Kind::Text => "[a-cA-C' ]{0,4}".prop_map(Cell::Text).boxed(),
        Kind::Number => (-3_i64..3).prop_map(Cell::Number).boxed(),
        Kind::Truth => any::<bool>().prop_map(Cell::Truth).boxed(),
        Kind::Time => (0_i64..3).prop_map(Cell::Time).boxed(),
    };
    keys()
        .columns
        .iter()
        .map(|column| prop_oneof![1 => Just(Cell::Null), 3 => of(column.kind)].boxed())
        .collect::<Vec<_>>()
}

proptest! {
    #[test]
    fn sq_9_whatever_is_written_is_read_as_it_was_meant(expr in truths()) {
        let text = written(&expr);
        prop_assume!(text.len() <= 4096);
        let read = Filter::parse(keys(), &text).map_err(|error| TestCaseError::fail(format!("{text}: {error:?}")))?;
        prop_assert_eq!(read.expr, expr);
    }

    #[test]
    fn sq_9_no_text_breaks_the_reader(text in "\\PC{0,200}") {
        let _ = Filter::parse(keys(), &text);
        let _ = Filter::of_key(keys(), &text);
    }

    #[test]
    fn sq_9_no_pieces_break_the_reader(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "(", ")", ",", "=", "'", "''", "'x'", " ", "not ", " and ", " or ", " eq ", " gt ", "null", "true",
            "7", "-", "1.5", "2027-01-31T12:00:00Z", "Label", "Version", "ExpiresAt", "contains(", "tolower(",
        ]), 0..60)
    ) {
        let text = pieces.concat();
        if let Ok(filter) = Filter::parse(keys(), &text) {
            let _ = filter.matches(&sample());
        }
    }

    #[test]
    fn sq_9_what_need_not_be_read_would_not_have_fitted(expr in truths(), row in cells()) {
        let filter = Filter { set: keys(), expr };
        prop_assume!(filter.matches(&row));
        for (column, cell) in keys().columns.iter().zip(&row) {
            if let Some(text) = filter.equals(column.name) {
                prop_assert_eq!(cell, &Cell::Text(text.into()));
            }
            if let (Some(from), Cell::Time(at)) = (filter.at_least(column.name), cell) {
                prop_assert!(*at >= from);
            }
            if let (Some(until), Cell::Time(at)) = (filter.at_most(column.name), cell) {
                prop_assert!(*at <= until);
            }
        }
    }

    #[test]
    fn sq_9_not_and_or_are_those_of_logic(one in truths(), two in truths(), row in cells()) {
        let value = |expr: &Expr| match expr.value(&row) {
            Value::Truth(truth) => Some(truth),
            _ => None,
        };
        let not = |expr: Expr| Expr::Not(Box::new(expr));
        let both = not(Expr::And(vec![one.clone(), two.clone()]));
        let either = Expr::Or(vec![not(one), not(two)]);
        prop_assert_eq!(value(&both), value(&either));
    }

    #[test]
    fn sq_9_numbers_compare_exactly(one: i64, two: i64) {
        let row = row(&[("Version", Cell::Number(one))]);
        for (op, expected) in [("eq", one == two), ("ne", one != two), ("gt", one > two), ("le", one <= two)] {
            let filter = Filter::parse(keys(), &format!("Version {op} {two}")).expect("a filter");
            prop_assert_eq!(filter.matches(&row), expected, "{} {} {}", one, op, two);
        }
    }
}
