//! What was used: asked of the marketplace, a page at a time.

use std::collections::VecDeque;
use std::fmt;
use std::future::{poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::http::{Call, HttpClient, SecretKey};
use crate::model::{Bucket, Code, CountedEvent, Page, Timestamp, UsageBucket, is_id};

/// Which usage is asked for.
///
/// ```
/// use cloudnestle_marketplace::UsageFilter;
///
/// let all = UsageFilter::all();
/// let november = UsageFilter::all()
///     .action("search")
///     .since("2026-11-01T00:00:00+05:30".parse()?)
///     .until("2026-12-01T00:00:00+05:30".parse()?);
/// # assert_ne!(all, november);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageFilter {
    action: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    limit: Option<u32>,
    cursor: Option<String>,
}

impl UsageFilter {
    /// All of a customer's usage of the solution.
    pub fn all() -> Self {
        UsageFilter::default()
    }

    /// That of one action.
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// What counts at this moment or later. A bucket that it lies in is told as a whole.
    pub fn since(mut self, from: Timestamp) -> Self {
        self.from = Some(from);
        self
    }

    /// What counts before this moment. A bucket that it lies in is told as a whole.
    pub fn until(mut self, to: Timestamp) -> Self {
        self.to = Some(to);
        self
    }

    /// How much a page has: 50 unless set, and at most 100.
    pub fn page_size(mut self, items: u32) -> Self {
        self.limit = Some(items);
        self
    }

    /// What comes after a page, by its [`next_cursor`](crate::model::Page::next_cursor) or
    /// [`Pages::cursor`]. All else must be as it was.
    pub fn after(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }
}

/// A list that is read as far as somebody reads on: a `Stream` of its items, one request a page.
///
/// ```
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # example::run(async |sdk, token, _pair| {
/// use cloudnestle_marketplace::UsageFilter;
///
/// sdk.track_usage(token, "search").await?;
/// sdk.track_usage(token, "index").await?;
/// sdk.flush().await?;
///
/// // All of it.
/// let mut events = sdk.usage_events("cus_asha", UsageFilter::all());
/// while let Some(event) = events.next().await {
///     let event = event?;
///     println!("{} {} at {}", event.counts, event.action, event.counts_at);
/// }
///
/// // A page, and later, perhaps elsewhere, the next.
/// let one = UsageFilter::all().page_size(1);
/// let mut first = sdk.usage_events("cus_asha", one.clone());
/// let newest = first.next_page().await?.expect("a page");
/// let cursor = newest.next_cursor.expect("there is more");
/// let mut rest = sdk.usage_events("cus_asha", one.after(cursor));
/// let oldest = rest.next_page().await?.expect("a page");
/// assert_ne!(newest.items, oldest.items);
/// # Ok(()) });
/// ```
///
/// Nothing is asked before the first item is. A future that is dropped loses nothing. After an error the
/// list ends; [`cursor`](Self::cursor) says where it can be taken up.
pub struct Pages<T> {
    list: Arc<List>,
    cursor: Option<String>,
    /// Of a page that is partly read.
    read: VecDeque<T>,
    state: State<T>,
}

enum State<T> {
    Idle,
    Asking(BoxFuture<'static, Result<Page<T>>>),
    Ended,
}

/// What is asked page by page.
struct List {
    http: Arc<HttpClient>,
    secret_key: Arc<SecretKey>,
    deadline: Duration,
    path: String,
    /// Of each page.
    question: String,
}

impl<T: DeserializeOwned + Send + Unpin + 'static> Pages<T> {
    /// The next item; `None` at the end of the list.
    ///
    /// # Errors
    /// Those of the call that the list is of.
    pub async fn next(&mut self) -> Option<Result<T>> {
        StreamExt::next(self).await
    }

    /// The next page, or what is left of one that is partly read; `None` at the end of the list. It may
    /// have fewer items than were asked for, and none, though there are more.
    ///
    /// # Errors
    /// Those of the call that the list is of.
    pub async fn next_page(&mut self) -> Result<Option<Page<T>>> {
        if !self.read.is_empty() {
            let items = self.read.drain(..).collect();
            return Ok(Some(Page { items, next_cursor: self.cursor.clone() }));
        }
        poll_fn(|context| self.poll_page(context)).await.transpose()
    }

    /// What to ask with for what comes after the pages that were read, as [`UsageFilter::after`];
    /// `None` before the first and after the last.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    fn poll_page(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Page<T>>>> {
        let asking = match &mut self.state {
            State::Ended => return Poll::Ready(None),
            State::Asking(asking) => asking,
            State::Idle => {
                let asking = self.list.clone().ask(self.cursor.clone()).boxed();
                self.state = State::Asking(asking);
                return self.poll_page(context);
            }
        };
        let mut answer = ready!(asking.poll_unpin(context));
        self.state = State::Ended;
        let goes_on = |page: &Page<T>| page.next_cursor.is_some();
        if answer.as_ref().is_ok_and(|page| goes_on(page) && page.next_cursor == self.cursor) {
            let words = "The answer leads to itself.";
            answer = Err(Error::because(Code::AnswerInvalid, words));
        }
        if let Ok(page) = &answer {
            self.cursor = page.next_cursor.clone();
            if self.cursor.is_some() {
                self.state = State::Idle;
            }
        }
        Poll::Ready(Some(answer))
    }
}

impl<T: DeserializeOwned + Send + Unpin + 'static> Stream for Pages<T> {
    type Item = Result<T>;
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let pages = self.get_mut();
        loop {
            if let Some(item) = pages.read.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            match ready!(pages.poll_page(context)) {
                Some(Ok(page)) => pages.read.extend(page.items),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl List {
    async fn ask<T: DeserializeOwned + Send>(
        self: Arc<Self>,
        cursor: Option<String>,
    ) -> Result<Page<T>> {
        let cursor = cursor.map(|cursor| format!("&{}", pair("cursor", &cursor)));
        let path = format!("{}?{}{}", self.path, self.question, cursor.unwrap_or_default());
        self.http.call(Call::get(&path).with_key(&self.secret_key), self.deadline).await
    }
}

/// Asks what customers have used.
pub(crate) struct History {
    pub(crate) http: Arc<HttpClient>,
    pub(crate) solution: String,
    pub(crate) secret_key: Arc<SecretKey>,
    pub(crate) deadline: Duration,
}

impl History {
    pub(crate) fn buckets(
        &self,
        customer_id: &str,
        bucket: Bucket,
        filter: UsageFilter,
    ) -> Pages<UsageBucket> {
        self.pages(customer_id, "", Some(bucket), filter)
    }

    pub(crate) fn events(&self, customer_id: &str, filter: UsageFilter) -> Pages<CountedEvent> {
        self.pages(customer_id, "/events", None, filter)
    }

    fn pages<T: Send + 'static>(
        &self,
        customer_id: &str,
        of: &str,
        bucket: Option<Bucket>,
        filter: UsageFilter,
    ) -> Pages<T> {
        let UsageFilter { action, from, to, limit, cursor } = filter;
        let is_known = is_id(customer_id, "cus_");
        let mut question = vec![pair("solution_id", &self.solution)];
        let mut ask =
            |name, value: Option<String>| question.extend(value.map(|it| pair(name, &it)));
        ask("bucket", bucket.map(|bucket| bucket.name().to_owned()));
        ask("action", action);
        ask("from", from.map(|from| from.to_string()));
        ask("to", to.map(|to| to.to_string()));
        ask("limit", limit.map(|limit| limit.to_string()));
        let list = List {
            http: self.http.clone(),
            secret_key: self.secret_key.clone(),
            deadline: self.deadline,
            path: format!("/api/usage/{customer_id}{of}"),
            question: question.join("&"),
        };
        let words = "A customer's id looks like cus_….";
        let unknown = || ready(Err(Error::because(Code::RequestInvalid, words))).boxed();
        let state = if is_known { State::Idle } else { State::Asking(unknown()) };
        Pages { list: Arc::new(list), cursor, read: VecDeque::new(), state }
    }
}

/// A parameter of a question, as a URL has it.
fn pair(name: &str, value: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}
