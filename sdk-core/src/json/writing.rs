//! Objects that are written field by field, where there is no type to derive them from.

/// An object, as text. Its fields are written in the order they are added.
///
/// ```
/// use cloudnestle_marketplace::json::Object;
///
/// let object = Object::new().text("name", "Ra\"vi").number("age", 7).value("tags", "[]").written();
/// assert_eq!(object, r#"{"name":"Ra\"vi","age":7,"tags":[]}"#);
/// let more = Object::of(object).truth("new", true).written();
/// assert!(more.ends_with(r#","tags":[],"new":true}"#));
/// ```
#[derive(Debug)]
pub struct Object(String);

impl Object {
    /// One without fields.
    #[expect(clippy::new_without_default, reason = "an object is not a setting")]
    pub fn new() -> Self {
        Object("{".to_owned())
    }

    /// One that has the fields of another, which is written already.
    pub fn of(mut written: String) -> Self {
        written.pop();
        Object(written)
    }

    /// With a field whose value is JSON already.
    pub fn value(mut self, name: &str, json: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        push_text(&mut self.0, name);
        self.0.push(':');
        self.0.push_str(json);
        self
    }

    /// With a text.
    pub fn text(self, name: &str, text: &str) -> Self {
        let mut json = String::new();
        push_text(&mut json, text);
        self.value(name, &json)
    }

    /// With a text, or `null`.
    pub fn perhaps(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.value(name, "null"),
        }
    }

    /// With a number.
    pub fn number(self, name: &str, number: u64) -> Self {
        self.value(name, &number.to_string())
    }

    /// With a truth value.
    pub fn truth(self, name: &str, truth: bool) -> Self {
        self.value(name, if truth { "true" } else { "false" })
    }

    /// The text.
    pub fn written(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn push_text(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\0'..' ' => {
                let digit = |of: u32| char::from_digit(of, 16).unwrap_or_default();
                json.push_str("\\u00");
                json.extend([digit(u32::from(c) / 16), digit(u32::from(c) % 16)]);
            }
            c => json.push(c),
        }
    }
    json.push('"');
}
