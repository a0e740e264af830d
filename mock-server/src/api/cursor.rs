//! Long lists, a page at a time.
//!
//! A page ends with a cursor, and the next begins after it. The cursor is the place of the page's
//! last item, sealed: it is opaque, can't be made up or changed, and fits only the list it came from
//! (the same call by the same caller with the same filters). Nothing is kept on the server, so a
//! cursor outlives a restart and any number of pages may be read at once. What is added while somebody
//! reads shows up where it belongs in the order; what was read is not shown again.
//!
//! ```text
//! let list = Listing::of(&market.keys, "usage", &(&caller.solution_id, &customer_id, request.from));
//! let after: Option<Place> = list.place(request.cursor.as_deref())?;
//! let found = /* up to `request.limit.one_more()` items after that place */;
//! Ok(Json(list.page(found, request.limit, |last| Place { … })))
//! ```

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudnestle_marketplace::Code;
use cloudnestle_marketplace::model::Page;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::problem::Failure;
use crate::domain::keys::{Keys, SEAL_BYTES};

const PREFIX: &str = "cur_";
/// The longest cursor: a place is a sort key or two.
const MAX_CURSOR_BYTES: usize = 1024;

/// A list as one caller asked for it.
pub(crate) struct Listing<'k> {
    keys: &'k Keys,
    question: Vec<u8>,
}

impl<'k> Listing<'k> {
    /// The list called `name`, of what `question` asks for: who asks, and every filter, but neither
    /// the limit nor the cursor.
    pub(crate) fn of(keys: &'k Keys, name: &str, question: &impl Serialize) -> Listing<'k> {
        // Names and filters always have a JSON form.
        let question = serde_json::to_vec(&(name, question)).unwrap_or_default();
        Listing { keys, question }
    }

    /// Where the cursor says that the last page ended; `None` before the first.
    pub(crate) fn place<P: DeserializeOwned>(
        &self,
        cursor: Option<&str>,
    ) -> Result<Option<P>, Failure> {
        let Some(cursor) = cursor else {
            return Ok(None);
        };
        let place = self.open(cursor).and_then(|place| serde_json::from_slice(&place).ok());
        place.map(Some).ok_or(Failure::from(Code::CursorInvalid))
    }

    /// A page of at most `limit` of the items found; if there is one more, with the cursor to it.
    pub(crate) fn page<T, P: Serialize>(
        &self,
        found: Vec<T>,
        limit: Limit,
        place: impl FnOnce(&T) -> P,
    ) -> Page<T> {
        self.part(found, limit, None, place)
    }

    /// A page of what was found by a search that has given up at `reached`: if there is not one more
    /// item, the next page goes on from there.
    pub(crate) fn part<T, P: Serialize>(
        &self,
        mut found: Vec<T>,
        limit: Limit,
        reached: Option<P>,
        place: impl FnOnce(&T) -> P,
    ) -> Page<T> {
        let is_more = found.len() > limit.items();
        found.truncate(limit.items());
        let last = found.last().filter(|_| is_more);
        let next_cursor = last.map(place).or(reached).map(|place| self.seal(&place));
        Page { items: found, next_cursor }
    }

    fn seal(&self, place: &impl Serialize) -> String {
        let place = serde_json::to_vec(place).unwrap_or_default();
        let mut sealed = self.keys.seal(&self.question, &place).to_vec();
        sealed.extend(place);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed))
    }

    fn open(&self, cursor: &str) -> Option<Vec<u8>> {
        let sealed = cursor.strip_prefix(PREFIX).filter(|_| cursor.len() <= MAX_CURSOR_BYTES)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (seal, place) = sealed.split_at_checked(SEAL_BYTES)?;
        self.keys.has_seal(&self.question, place, seal).then(|| place.to_vec())
    }
}

/// How many items a page has: 50 unless asked otherwise, and at most 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(usize);

impl Limit {
    /// As Stripe's lists: an answer of this many items is some 50 KB.
    const MAX: usize = 100;

    pub(crate) fn items(self) -> usize {
        self.0
    }

    /// How many to look for: the one too many says that there is a next page.
    pub(crate) fn one_more(self) -> usize {
        self.0 + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Limit(50)
    }
}

impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        let limit = ObjectBuilder::new().schema_type(Type::Integer);
        let limit = limit.minimum(Some(1usize)).maximum(Some(Limit::MAX));
        limit.default(Some(Limit::default().0.into())).into()
    }
}

impl ToSchema for Limit {}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match usize::deserialize(deserializer)? {
            items @ 1..=Limit::MAX => Ok(Limit(items)),
            _ => Err(D::Error::custom("a page has between 1 and 100 items")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::keys::{Keys, test_keys};

    fn numbers<'k>(keys: &'k Keys, caller: &str) -> Listing<'k> {
        Listing::of(keys, "numbers", &(caller, "even"))
    }

    /// The even numbers below 10, after a place.
    fn read(list: &Listing<'_>, cursor: Option<&str>, limit: Limit) -> Result<Page<u32>, Failure> {
        let after: u32 = list.place(cursor)?.unwrap_or(0);
        let found = (after + 1..10).filter(|n| n % 2 == 0).take(limit.one_more()).collect();
        Ok(list.page(found, limit, |last| *last))
    }

    #[test]
    fn page_after_page_shows_each_item_once() {
        let keys = test_keys();
        for limit in 1..=5 {
            let (mut all, mut cursor) = (Vec::new(), None);
            loop {
                let list = numbers(&keys, "cus_asha");
                let page = read(&list, cursor.as_deref(), Limit(limit)).expect("a page");
                assert!(page.items.len() <= limit);
                all.extend(page.items);
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(all, [2, 4, 6, 8], "by {limit}");
        }
    }

    #[test]
    fn a_cursor_fits_its_own_list_alone() {
        let keys = test_keys();
        let first = read(&numbers(&keys, "cus_asha"), None, Limit(2)).expect("a page");
        let cursor = first.next_cursor.expect("a cursor");
        assert!(read(&numbers(&keys, "cus_asha"), Some(&cursor), Limit(1)).is_ok());

        let refused = |list: &Listing<'_>, cursor: &str| {
            let code = read(list, Some(cursor), Limit(2)).expect_err("not of this list").code;
            assert_eq!(code, Code::CursorInvalid, "{cursor}");
        };
        refused(&numbers(&keys, "cus_ravi"), &cursor);
        refused(&Listing::of(&keys, "numbers", &("cus_asha", "odd")), &cursor);
        refused(&Listing::of(&keys, "letters", &("cus_asha", "even")), &cursor);
        let own = numbers(&keys, "cus_asha");
        for end in 0..cursor.len() {
            refused(&own, &cursor[..end]);
        }
        for at in PREFIX.len()..cursor.len() {
            let other = if &cursor[at..=at] == "A" { "B" } else { "A" };
            refused(&own, &format!("{}{other}{}", &cursor[..at], &cursor[at + 1..]));
        }
        refused(&own, &format!("{PREFIX}{}", "A".repeat(1 << 20)));
        refused(&own, "cur_not base64");
    }

    #[test]
    fn a_limit_is_between_one_and_a_hundred() {
        let limit = |json: &str| serde_json::from_str::<Limit>(json);
        assert_eq!(limit("1").expect("a limit").items(), 1);
        assert_eq!(limit("100").expect("a limit").one_more(), 101);
        for wrong in ["0", "101", "-1", "1e9", "18446744073709551616"] {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
    }
}
