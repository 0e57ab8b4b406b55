//! From the pieces of a filter to an expression whose types fit.

use super::lexer::{Token, Wrong, lex};
use super::{Expr, Function, Op};
use crate::http::json::suggestion;
use crate::http::odata::sets::{Kind, Set};

/// Parentheses, functions and `not` within each other, at most.
const MAX_DEPTH: usize = 32;

/// What an expression gives; nothing for `null`.
type Gives = Option<Kind>;

/// Reads a filter of a set.
pub(super) fn filter(set: &Set, text: &str) -> Result<Expr, Wrong> {
    let mut parser = Parser::new(set, text)?;
    let whole = parser.truth(Parser::any_of)?;
    parser.must_end()?;
    Ok(whole)
}

/// Reads what stands between the parentheses behind the name of a set: one literal, or a name and a literal for
/// each of its keys.
pub(super) fn entity(set: &Set, text: &str) -> Result<Expr, Wrong> {
    let mut parser = Parser::new(set, text)?;
    let mut found: Vec<(usize, Expr)> = Vec::new();
    loop {
        let begin = parser.place();
        let column = match parser.peek() {
            Some(Token::Word(name)) => {
                let (name, column) = (name.clone(), set.column(name));
                parser.next += 1;
                parser.must_be(&Token::Equals, "=")?;
                column
                    .filter(|_| set.keys.contains(&name.as_str()))
                    .ok_or_else(|| Wrong::new(begin, suggestion(&name, set.keys)))?
            }
            _ if set.keys.len() == 1 => set.column(set.keys[0]).unwrap_or_default(),
            _ => return Err(Wrong::new(begin, format!("name each of {}", set.keys.join(", ")))),
        };
        let (value, gives) = parser.primary()?;
        let is_literal = matches!(value, Expr::Text(_) | Expr::Number(_) | Expr::Time(_));
        if gives != Some(set.columns[column].kind) || !is_literal {
            return Err(Wrong::new(begin, "this is no value of the key"));
        }
        found.push((column, Expr::Compare(Op::Eq, Box::new(Expr::Column(column)), Box::new(value))));
        if parser.peek() != Some(&Token::Comma) {
            break;
        }
        parser.next += 1;
    }
    parser.must_end()?;
    let given = found.len();
    found.sort_by_key(|(column, _)| *column);
    found.dedup_by_key(|(column, _)| *column);
    if found.len() != given || given != set.keys.len() {
        return Err(Wrong::new(1, format!("give each of {} once", set.keys.join(", "))));
    }
    Ok(Expr::And(found.into_iter().map(|(_, each)| each).collect()))
}

struct Parser<'s> {
    set: &'s Set,
    tokens: Vec<(usize, Token)>,
    next: usize,
    /// The place behind the last character.
    end: usize,
    depth: usize,
}

impl<'s> Parser<'s> {
    fn new(set: &'s Set, text: &str) -> Result<Self, Wrong> {
        Ok(Self { set, tokens: lex(text)?, next: 0, end: text.chars().count() + 1, depth: 0 })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn place(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |(at, _)| *at)
    }

    /// Takes the next piece if it is this word.
    fn take_word(&mut self, word: &str) -> bool {
        let is_it = matches!(self.peek(), Some(Token::Word(found)) if found == word);
        self.next += usize::from(is_it);
        is_it
    }

    fn must_be(&mut self, token: &Token, told: &str) -> Result<(), Wrong> {
        if self.peek() == Some(token) {
            self.next += 1;
            return Ok(());
        }
        Err(self.unexpected(&format!("expected {told}")))
    }

    fn must_end(&self) -> Result<(), Wrong> {
        if self.next == self.tokens.len() {
            Ok(())
        } else {
            Err(self.unexpected("expected and, or, or the end"))
        }
    }

    fn unexpected(&self, wanted: &str) -> Wrong {
        let found = self.peek().map_or_else(|| "the end".to_owned(), Token::told);
        Wrong::new(self.place(), format!("{wanted}, found {found}"))
    }

    /// What `read` reads must be true or false.
    fn truth(&mut self, read: fn(&mut Self) -> Result<(Expr, Gives), Wrong>) -> Result<Expr, Wrong> {
        let begin = self.place();
        match read(self)? {
            (expr, Some(Kind::Truth)) => Ok(expr),
            _ if self.is_at_unknown_operator() => Err(self.unexpected("expected eq, ne, gt, ge, lt or le")),
            _ => Err(Wrong::new(begin, "expected something that is true or false, such as a comparison")),
        }
    }

    fn is_at_unknown_operator(&self) -> bool {
        match self.peek() {
            Some(Token::Word(word)) => Op::parse(word).is_none() && word != "and" && word != "or",
            other => other == Some(&Token::Equals),
        }
    }

    fn any_of(&mut self) -> Result<(Expr, Gives), Wrong> {
        self.several("or", Self::all_of, Expr::Or)
    }

    fn all_of(&mut self) -> Result<(Expr, Gives), Wrong> {
        self.several("and", Self::comparison, Expr::And)
    }

    /// One of them, or several with this word between them.
    fn several(
        &mut self,
        word: &str,
        read: fn(&mut Self) -> Result<(Expr, Gives), Wrong>,
        join: fn(Vec<Expr>) -> Expr,
    ) -> Result<(Expr, Gives), Wrong> {
        let begin = self.place();
        let (first, gives) = read(self)?;
        if !matches!(self.peek(), Some(Token::Word(found)) if found == word) {
            return Ok((first, gives));
        }
        if gives != Some(Kind::Truth) {
            return Err(Wrong::new(begin, format!("{word} takes what is true or false")));
        }
        let mut all = vec![first];
        while self.take_word(word) {
            all.push(self.truth(read)?);
        }
        Ok((join(all), Some(Kind::Truth)))
    }

    fn comparison(&mut self) -> Result<(Expr, Gives), Wrong> {
        let (left, gives) = self.unary()?;
        let at = self.place();
        let op = match self.peek() {
            Some(Token::Word(word)) => Op::parse(word),
            _ => None,
        };
        let Some(op) = op else { return Ok((left, gives)) };
        self.next += 1;
        let (right, other) = self.unary()?;
        if let (Some(one), Some(two)) = (gives, other)
            && one != two
        {
            let told = format!("{} compares {} with {}", op.as_str(), one.edm(), two.edm());
            return Err(Wrong::new(at, told));
        }
        if gives.or(other) == Some(Kind::Truth) && !matches!(op, Op::Eq | Op::Ne) {
            return Err(Wrong::new(at, format!("{} takes nothing that is true or false", op.as_str())));
        }
        Ok((Expr::Compare(op, Box::new(left), Box::new(right)), Some(Kind::Truth)))
    }

    /// `not` binds what stands right behind it, and nothing more.
    fn unary(&mut self) -> Result<(Expr, Gives), Wrong> {
        if !self.take_word("not") {
            return self.primary();
        }
        self.deeper(|parser| Ok((Expr::Not(Box::new(parser.truth(Self::unary)?)), Some(Kind::Truth))))
    }

    /// Reads something within something else.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Wrong>) -> Result<T, Wrong> {
        if self.depth == MAX_DEPTH {
            return Err(Wrong::new(self.place(), format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let found = read(self)?;
        self.depth -= 1;
        Ok(found)
    }

    fn primary(&mut self) -> Result<(Expr, Gives), Wrong> {
        let begin = self.place();
        let Some(token) = self.peek().cloned() else { return Err(self.unexpected("expected a value")) };
        self.next += 1;
        match token {
            Token::Text(text) => Ok((Expr::Text(text), Some(Kind::Text))),
            Token::Number(number) => Ok((Expr::Number(number), Some(Kind::Number))),
            Token::Time(at) => Ok((Expr::Time(at), Some(Kind::Time))),
            Token::Open => self.deeper(|parser| {
                let inner = parser.any_of()?;
                parser.must_be(&Token::Close, ")")?;
                Ok(inner)
            }),
            Token::Word(word) if self.peek() == Some(&Token::Open) => self.call(begin, &word),
            Token::Word(word) => self.named(begin, &word),
            _ => {
                self.next -= 1;
                Err(self.unexpected("expected a value"))
            }
        }
    }

    fn named(&self, begin: usize, word: &str) -> Result<(Expr, Gives), Wrong> {
        match word {
            "null" => return Ok((Expr::Null, None)),
            "true" | "false" => return Ok((Expr::Truth(word == "true"), Some(Kind::Truth))),
            _ => {}
        }
        match self.set.column(word) {
            Some(at) => Ok((Expr::Column(at), Some(self.set.columns[at].kind))),
            None => Err(Wrong::new(begin, suggestion(word, &self.set.names()))),
        }
    }

    fn call(&mut self, begin: usize, name: &str) -> Result<(Expr, Gives), Wrong> {
        let Some(function) = Function::parse(name) else {
            return Err(Wrong::new(begin, suggestion(name, &Function::ALL.map(Function::as_str))));
        };
        self.must_be(&Token::Open, "(")?;
        let taken = self.deeper(|parser| {
            let mut taken = vec![parser.text_argument(function)?];
            while taken.len() < function.takes() {
                parser.must_be(&Token::Comma, ",")?;
                taken.push(parser.text_argument(function)?);
            }
            Ok(taken)
        })?;
        self.must_be(&Token::Close, ")")?;
        Ok((Expr::Call(function, taken), Some(function.gives())))
    }

    fn text_argument(&mut self, function: Function) -> Result<Expr, Wrong> {
        let begin = self.place();
        match self.primary()? {
            (expr, None | Some(Kind::Text)) => Ok(expr),
            (_, Some(other)) => {
                let told = format!("{} takes Edm.String, not {}", function.as_str(), other.edm());
                Err(Wrong::new(begin, told))
            }
        }
    }
}
