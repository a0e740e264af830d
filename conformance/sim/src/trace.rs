//! What happened, in order: as a hash that tells two stories apart, and as text for whoever looks into one.

use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

/// A story as it is told.
pub(crate) struct Trace {
    hasher: DefaultHasher,
    is_shown: bool,
}

impl Trace {
    pub(crate) fn new(is_shown: bool) -> Trace {
        Trace { hasher: DefaultHasher::new(), is_shown }
    }

    pub(crate) fn note(&mut self, at: Duration, who: &str, what: fmt::Arguments<'_>) {
        self.hasher.write_u128(at.as_nanos());
        self.hasher.write(who.as_bytes());
        // Writing to a hasher can't fail.
        let _ = Heard(&mut self.hasher).write_fmt(what);
        if self.is_shown {
            println!("{:>11.6} {who:<10} {what}", at.as_secs_f64());
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hasher.finish()
    }
}

struct Heard<'a>(&'a mut DefaultHasher);

impl Write for Heard<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
