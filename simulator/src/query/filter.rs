//! The part of the `$filter` language that the service is known to support.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::vec::IntoIter;

use serde_json::Value;

use super::value::{Kind, Literal, Operand};
use super::{Entity, Member, Schema};

/// A condition on an entity.
pub enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Not(Box<Expression>),
    Compare(&'static Member, Operator, Operand),
    In(&'static Member, Vec<Operand>),
    Call(Function, &'static Member, String),
    /// A text of a collection is this one.
    Has(&'static Member, String),
}

#[derive(Clone, Copy)]
pub enum Operator {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

#[derive(Clone, Copy)]
pub enum Function {
    StartsWith,
    EndsWith,
    Contains,
}

impl Expression {
    pub fn accepts(&self, item: &impl Entity) -> bool {
        let of = |member: &Member| member.kind.of(&item.member(member.name));
        match self {
            Expression::Any(parts) => parts.iter().any(|part| part.accepts(item)),
            Expression::All(parts) => parts.iter().all(|part| part.accepts(item)),
            Expression::Not(part) => !part.accepts(item),
            Expression::In(member, values) => values.contains(&of(member)),
            Expression::Compare(member, operator, value) => operator.holds(&of(member), value),
            Expression::Call(function, member, text) => {
                let Operand::Text(whole) = of(member) else {
                    return false;
                };
                match function {
                    Function::StartsWith => whole.starts_with(text.as_str()),
                    Function::EndsWith => whole.ends_with(text.as_str()),
                    Function::Contains => whole.contains(text.as_str()),
                }
            }
            Expression::Has(member, text) => {
                let all = item.member(member.name);
                let mut all = all.as_array().into_iter().flatten().filter_map(Value::as_str);
                all.any(|one| one == text)
            }
        }
    }
}

impl Operator {
    /// Null equals null, differs from any value, and is neither less nor greater.
    fn holds(self, left: &Operand, right: &Operand) -> bool {
        let comparable = *left != Operand::Null && *right != Operand::Null;
        let order = left.order(right);
        match self {
            Operator::Eq => order == Ordering::Equal,
            Operator::Ne => order != Ordering::Equal,
            Operator::Gt => comparable && order == Ordering::Greater,
            Operator::Ge => comparable && order != Ordering::Less,
            Operator::Lt => comparable && order == Ordering::Less,
            Operator::Le => comparable && order != Ordering::Greater,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
    Comma,
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, String> {
    let mut out = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let token = match c {
            c if c.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            '\'' => {
                let mut inner = String::new();
                loop {
                    match rest.next() {
                        // A quotation mark inside a string is written twice.
                        Some((_, '\'')) if rest.next_if(|(_, c)| *c == '\'').is_some() => {
                            inner.push('\'');
                        }
                        Some((_, '\'')) => break,
                        Some((_, c)) => inner.push(c),
                        None => {
                            return Err(format!(
                                "There is an unterminated string literal at position {} in \
                                 '{text}'.",
                                text.chars().count()
                            ));
                        }
                    }
                }
                Token::Text(inner)
            }
            c if word_char(c) => {
                let mut word = String::from(c);
                while let Some((_, c)) = rest.next_if(|(_, c)| word_char(*c)) {
                    word.push(c);
                }
                Token::Word(word)
            }
            _ => return Err(format!("Syntax error at position {at} in '{text}'.")),
        };
        out.push((at, token));
    }
    Ok(out)
}

fn word_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-:.+/".contains(c)
}

/// Reads a filter.
pub fn parse(schema: &Schema, text: &str) -> Result<Expression, String> {
    let mut parser = Parser { schema, text, rest: tokens(text)?.into_iter().peekable(), depth: 0 };
    let expression = parser.any()?;
    match parser.rest.next() {
        None => Ok(expression),
        Some((at, _)) => Err(parser.syntax(at)),
    }
}

struct Parser<'a> {
    schema: &'a Schema,
    text: &'a str,
    rest: Peekable<IntoIter<(usize, Token)>>,
    depth: usize,
}

impl Parser<'_> {
    fn syntax(&self, at: usize) -> String {
        format!("Syntax error at position {at} in '{}'.", self.text)
    }

    fn here(&mut self) -> String {
        let at = self.rest.peek().map_or(self.text.len(), |(at, _)| *at);
        self.syntax(at)
    }

    /// Takes a keyword, in whatever case.
    fn keyword(&mut self, name: &str) -> bool {
        self.rest
            .next_if(|(_, t)| matches!(t, Token::Word(w) if w.eq_ignore_ascii_case(name)))
            .is_some()
    }

    fn take(&mut self, token: &Token) -> bool {
        self.rest.next_if(|(_, t)| t == token).is_some()
    }

    fn expect(&mut self, token: &Token) -> Result<(), String> {
        if self.take(token) { Ok(()) } else { Err(self.here()) }
    }

    fn any(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.all()?];
        while self.keyword("or") {
            parts.push(self.all()?);
        }
        Ok(Expression::Any(parts))
    }

    fn all(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.one()?];
        while self.keyword("and") {
            parts.push(self.one()?);
        }
        Ok(Expression::All(parts))
    }

    fn one(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > 100 {
            return Err("The node count limit of '100' has been exceeded.".to_owned());
        }
        let expression = if self.keyword("not") {
            Expression::Not(Box::new(self.one()?))
        } else if self.take(&Token::Open) {
            let inner = self.any()?;
            self.expect(&Token::Close)?;
            inner
        } else {
            self.condition()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn word(&mut self) -> Result<String, String> {
        match self.rest.next_if(|(_, t)| matches!(t, Token::Word(_))) {
            Some((_, Token::Word(word))) => Ok(word),
            _ => Err(self.here()),
        }
    }

    fn literal(&mut self) -> Result<Literal, String> {
        match self.rest.next() {
            Some((_, Token::Text(text))) => Ok(Literal::Quoted(text)),
            Some((_, Token::Word(word))) => Ok(Literal::Bare(word)),
            Some((at, _)) => Err(self.syntax(at)),
            None => Err(self.here()),
        }
    }

    fn condition(&mut self) -> Result<Expression, String> {
        let name = self.word()?;
        if self.take(&Token::Open) {
            return match name.strip_suffix("/any") {
                Some(member) => self.has(member),
                None => self.call(&name),
            };
        }
        let member = self.schema.filter_member(&name)?;
        let unknown = self.here();
        if member.kind == Kind::Texts {
            return Err(unknown);
        }
        let operator = match self.word()?.to_ascii_lowercase().as_str() {
            "eq" => Operator::Eq,
            "ne" => Operator::Ne,
            "gt" => Operator::Gt,
            "ge" => Operator::Ge,
            "lt" => Operator::Lt,
            "le" => Operator::Le,
            "in" => return self.list(member),
            _ => return Err(unknown),
        };
        Ok(Expression::Compare(member, operator, member.kind.read(&self.literal()?)?))
    }

    fn list(&mut self, member: &'static Member) -> Result<Expression, String> {
        self.expect(&Token::Open)?;
        let mut values = Vec::new();
        loop {
            values.push(member.kind.read(&self.literal()?)?);
            if !self.take(&Token::Comma) {
                break;
            }
        }
        self.expect(&Token::Close)?;
        Ok(Expression::In(member, values))
    }

    /// `tag: tag eq 'text')`, the one condition on a collection that is documented.
    fn has(&mut self, name: &str) -> Result<Expression, String> {
        let member = self.schema.filter_member(name)?;
        let unknown = self.here();
        let start = self.word()?;
        let (variable, rest) = start.split_once(':').ok_or_else(|| unknown.clone())?;
        let used = if rest.is_empty() { self.word()? } else { rest.to_owned() };
        let fits = member.kind == Kind::Texts && used == variable && self.keyword("eq");
        match (fits, self.literal()?) {
            (true, Literal::Quoted(text)) => {
                self.expect(&Token::Close)?;
                Ok(Expression::Has(member, text))
            }
            _ => Err(unknown),
        }
    }

    fn call(&mut self, name: &str) -> Result<Expression, String> {
        let function = match name.to_ascii_lowercase().as_str() {
            "startswith" => Function::StartsWith,
            "endswith" => Function::EndsWith,
            "contains" => Function::Contains,
            _ => return Err(format!("An unknown function with name '{name}' was found.")),
        };
        let word = self.word()?;
        let member = self.schema.filter_member(&word)?;
        self.expect(&Token::Comma)?;
        let literal = self.literal()?;
        self.expect(&Token::Close)?;
        match (member.kind, literal) {
            (Kind::Text, Literal::Quoted(text)) => Ok(Expression::Call(function, member, text)),
            _ => Err(format!(
                "No function signature for the function with name '{name}' matches the specified \
                 arguments."
            )),
        }
    }
}
