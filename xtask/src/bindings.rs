//! Short names between a module and its bindings: the generator's have a hash each, which no compression makes smaller.

use std::collections::HashMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// Has `wasm-opt` give a module's imports and exports short names, and print which.
pub(crate) const SHORT_NAMES: &str = "--minify-imports-and-exports-and-modules";

/// What is called what from now on.
#[derive(Deserialize)]
struct Told {
    /// Module, name and new name.
    imports: Vec<(String, String, String)>,
    exports: Vec<(String, String)>,
}

pub(crate) struct ShortNames {
    /// All imports are of one module, which gets the first of all short names.
    module: String,
    imports: HashMap<String, String>,
    exports: HashMap<String, String>,
}

impl ShortNames {
    /// As `wasm-opt` has printed them.
    pub(crate) fn told(printed: &str) -> Result<Self> {
        let Told { imports, exports } =
            serde_json::from_str(printed).context("wasm-opt has told of no names")?;
        let (module, ..) = imports.first().context("the module imports nothing")?.clone();
        let imports = imports.into_iter().map(|(_, name, short)| (name, short));
        Ok(ShortNames {
            module,
            imports: imports.collect(),
            exports: exports.into_iter().collect(),
        })
    }

    /// The bindings with these names.
    pub(crate) fn put_into(&self, bindings: &str) -> String {
        let bindings = bindings.replace(&format!("\"{}\"", self.module), "\"a\"");
        let mut short = String::with_capacity(bindings.len());
        let is_part = |part: char| part.is_ascii_alphanumeric() || part == '_';
        let mut rest = bindings.as_str();
        while let Some(begin) = rest.find(is_part) {
            let (before, from) = rest.split_at(begin);
            let (word, after) =
                from.split_at(from.find(|part| !is_part(part)).unwrap_or(from.len()));
            short.push_str(before);
            let exported = short.ends_with("wasm.").then(|| self.exports.get(word)).flatten();
            short
                .push_str(exported.or_else(|| self.imports.get(word)).map_or(word, String::as_str));
            rest = after;
        }
        short + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exported_and_imported_is_short_and_all_else_as_it_was() {
        let names = r#"{"imports": [["./core_bg.js", "__wbg_wall_0123", "a"]],
            "exports": [["core_close", "a"], ["core_close_all", "b"]]}"#;
        let bindings = "close() { wasm.core_close(core_close); wasm.core_close_all() }\n\
            __wbg_wall_0123: function() {}, __wbg_wall_01234: 1, \"./core_bg.js\": import0";
        let short = "close() { wasm.a(core_close); wasm.b() }\n\
            a: function() {}, __wbg_wall_01234: 1, \"a\": import0";
        assert_eq!(ShortNames::told(names).unwrap().put_into(bindings), short);
    }
}
