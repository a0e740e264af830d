//! What a partner's backend does all day, step by step and visibly: who is this user, may they do
//! this, and note that they did it; then all of it again while the marketplace is away.
//!
//! Run it with `cargo xtask demo`, which plays the marketplace. By hand: start
//! `cloudnestle-mock-server`, set the variables it prints, and take the server away and bring it
//! back when the program asks for it.

mod story;

use anyhow::{Context, Result};
use cloudnestle_marketplace::{Freshness, MarketplaceSdk, TokenPair, Usage};
use std::time::Duration;
use story::Story;

#[tokio::main]
async fn main() -> Result<()> {
    let sdk = MarketplaceSdk::from_env()?;
    let pair = handed_by_the_marketplace()?;
    let token = pair.access_token.expose();
    let story = Story::of(&sdk);

    story.chapter("A user comes with a token");
    story.tell("validate_user(token)", sdk.validate_user(token)).await?;
    story.tell("validate_user(token)", sdk.validate_user(token)).await?;
    story.tell("validate_user(forged)", sdk.validate_user(&forge(token))).await.ok();
    story.tell("get_user_context(token)", sdk.get_user_context(token)).await?;

    story.chapter("They search, and it counts against their daily quota");
    story.tell("track_usage(token, search)", sdk.track_usage(token, "search")).await?;
    let three = Usage::of("search").quantity(3);
    story.tell("track_usage(token, search × 3)", sdk.track_usage(token, three)).await?;
    story.tell("flush()", sdk.flush()).await?;
    story.wait_for_fresh_answers().await;
    look_twice(&story, &sdk, token).await?;

    story.chapter("The token is renewed before it ends");
    let pair = story.tell("refresh(pair)", sdk.refresh(&pair)).await?;
    let token = pair.access_token.expose();
    story.tell("validate_user(new token)", sdk.validate_user(token)).await?;

    story.ask_for("take the marketplace away")?;
    story.wait_for_fresh_answers().await;
    story.tell("validate_user(token)", sdk.validate_user(token)).await?;
    story.tell("track_usage(token, search)", sdk.track_usage(token, "search")).await?;
    story.tell("stats()", async { anyhow::Ok(sdk.stats().usage) }).await?;

    story.ask_for("bring the marketplace back")?;
    story.tell("flush()", sdk.flush()).await?;
    story.tell("validate_user(token)", sdk.validate_user(token)).await?;
    look_twice(&story, &sdk, token).await?;

    story.chapter("The program ends");
    let two_seconds = Duration::from_secs(2);
    story.tell("close(2 s)", async { anyhow::Ok(sdk.close(two_seconds).await.usage) }).await?;
    Ok(())
}

/// A page doesn't wait for a count: a context up to 30 s old is given at once, and says so, while a newer
/// one is fetched. That one comes next.
async fn look_twice(story: &Story<'_>, sdk: &MarketplaceSdk, token: &str) -> Result<()> {
    let first = story.tell("get_user_context(token)", sdk.get_user_context(token)).await?;
    if first.freshness() == Freshness::Stale {
        story.wait_for_the_newer_one().await;
        story.tell("get_user_context(token)", sdk.get_user_context(token)).await?;
    }
    Ok(())
}

/// In production the marketplace hands a solution this pair when a user opens it.
fn handed_by_the_marketplace() -> Result<TokenPair> {
    let variable = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let json = variable("CLOUDNESTLE_TOKEN_PAIR")?;
    serde_json::from_str(&json).context("CLOUDNESTLE_TOKEN_PAIR is not a token pair in JSON")
}

/// The token of somebody who would like to be somebody else.
fn forge(token: &str) -> String {
    let middle = token.len() / 2;
    let other = if &token[middle..=middle] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &token[..middle], &token[middle + 1..])
}
