//! Any JSON text (RFC 8259) as a tree, which borrows what it can.

use std::borrow::Cow;

/// How deep lists and objects may lie in each other: as deep as `serde_json` has it.
const MOST_DEEP: u8 = 127;

/// A value of a text.
#[derive(Debug, PartialEq)]
pub(super) enum Tree<'t> {
    Null,
    Bool(bool),
    /// As it is written.
    Number(&'t str),
    Text(Cow<'t, str>),
    List(Vec<Tree<'t>>),
    /// Names may be there twice.
    Object(Vec<(Cow<'t, str>, Tree<'t>)>),
}

impl<'t> Tree<'t> {
    /// `None` for what is no JSON.
    pub(super) fn of(text: &'t [u8]) -> Option<Tree<'t>> {
        let mut reader = Reader { text: str::from_utf8(text).ok()?, at: 0 };
        let tree = reader.value(MOST_DEEP)?;
        reader.space();
        (reader.at == text.len()).then_some(tree)
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn value(&mut self, deep: u8) -> Option<Tree<'t>> {
        self.space();
        Some(match self.peek()? {
            b'n' => self.word("null", Tree::Null)?,
            b't' => self.word("true", Tree::Bool(true))?,
            b'f' => self.word("false", Tree::Bool(false))?,
            b'"' => Tree::Text(self.string()?),
            b'[' => {
                let (mut list, deep) = (Vec::new(), deep.checked_sub(1)?);
                self.each(b']', |reader| {
                    list.push(reader.value(deep)?);
                    Some(())
                })?;
                Tree::List(list)
            }
            b'{' => {
                let (mut object, deep) = (Vec::new(), deep.checked_sub(1)?);
                self.each(b'}', |reader| {
                    reader.space();
                    let name = reader.string()?;
                    reader.space();
                    reader.take(b':')?;
                    object.push((name, reader.value(deep)?));
                    Some(())
                })?;
                Tree::Object(object)
            }
            _ => Tree::Number(self.number()?),
        })
    }

    /// What lies between brackets, a comma between two.
    fn each(&mut self, end: u8, mut one: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.at += 1;
        self.space();
        if self.take(end).is_some() {
            return Some(());
        }
        loop {
            one(self)?;
            self.space();
            if self.take(end).is_some() {
                return Some(());
            }
            self.take(b',')?;
        }
    }

    fn number(&mut self) -> Option<&'t str> {
        let begin = self.at;
        let _positive = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _sign = self.take(b'-').or_else(|| self.take(b'+'));
            self.digits()?;
        }
        self.text.get(begin..self.at)
    }

    /// At least one.
    fn digits(&mut self) -> Option<()> {
        let begin = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > begin).then_some(())
    }

    fn string(&mut self) -> Option<Cow<'t, str>> {
        self.take(b'"')?;
        let mut text = Cow::Borrowed("");
        loop {
            let begin = self.at;
            while !matches!(self.peek()?, b'"' | b'\\' | ..b' ') {
                self.at += 1;
            }
            let part = self.text.get(begin..self.at)?;
            match text.is_empty() {
                true => text = Cow::Borrowed(part),
                false => text.to_mut().push_str(part),
            }
            if self.take(b'"').is_some() {
                return Some(text);
            }
            self.take(b'\\')?; // a control character is none
            text.to_mut().push(self.escaped()?);
        }
    }

    fn escaped(&mut self) -> Option<char> {
        let byte = self.peek()?;
        self.at += 1;
        Some(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => match self.unit()? {
                high @ 0xd800..=0xdbff => {
                    self.take(b'\\')?;
                    self.take(b'u')?;
                    let low = self.unit()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    char::from_u32(0x1_0000 + (high - 0xd800) * 0x400 + low)?
                }
                unit => char::from_u32(unit)?,
            },
            _ => return None,
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit * 16 + char::from(self.peek()?).to_digit(16)?;
            self.at += 1;
        }
        Some(unit)
    }

    fn word(&mut self, word: &str, tree: Tree<'t>) -> Option<Tree<'t>> {
        let rest = self.text.get(self.at..)?;
        rest.starts_with(word).then(|| self.at += word.len())?;
        Some(tree)
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}
