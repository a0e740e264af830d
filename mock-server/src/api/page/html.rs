//! Text as HTML.

/// Text that has no marks of its own.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A sentence or more, with `` `code` `` in it.
pub(super) fn prose(text: &str) -> String {
    let escaped = escape(text).replace("\n\n", "<br>");
    let parts = escaped.split('`').enumerate();
    parts
        .map(|(n, part)| if n % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() })
        .collect()
}
