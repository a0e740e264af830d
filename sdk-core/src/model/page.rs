//! A page of a list.

use serde::{Deserialize, Serialize};

/// Part of a list. Ask again with its cursor for the next part.
///
/// ```
/// use cloudnestle_marketplace::model::Page;
///
/// let page: Page<u64> = serde_json::from_str(r#"{"items": [1, 2], "next_cursor": "cur_YQ"}"#)?;
/// assert_eq!(page.items, [1, 2]);
/// let last: Page<u64> = serde_json::from_str(r#"{"items": [3]}"#)?;
/// assert!(last.next_cursor.is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// What to ask for the next page with, as `cursor`; absent on the last page. Opaque, and good for
    /// the same call with the same filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
