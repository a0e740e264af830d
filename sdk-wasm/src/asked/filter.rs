//! Which usage a backend asks for.

use cloudnestle_marketplace::{Bucket, Code, Error, Result, UsageFilter};
use serde::Deserialize;

/// Which usage is asked for, as the face writes it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct FilterJson {
    pub(crate) bucket: Option<Bucket>,
    action: Option<String>,
    since: Option<String>,
    until: Option<String>,
    page_size: Option<u32>,
    cursor: Option<String>,
}

impl FilterJson {
    pub(crate) fn filter(self) -> Result<UsageFilter> {
        let time = |text: String| text.parse().map_err(|_| Error::from(Code::RequestInvalid));
        let mut filter = UsageFilter::all();
        if let Some(action) = self.action {
            filter = filter.action(action);
        }
        if let Some(since) = self.since {
            filter = filter.since(time(since)?);
        }
        if let Some(until) = self.until {
            filter = filter.until(time(until)?);
        }
        if let Some(items) = self.page_size {
            filter = filter.page_size(items);
        }
        if let Some(cursor) = self.cursor {
            filter = filter.after(cursor);
        }
        Ok(filter)
    }
}
