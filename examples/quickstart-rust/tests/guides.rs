//! The Rust of the guides is run here.

use cloudnestle_marketplace::{ClientSdk, Code, MarketplaceSdk, Tier, TokenPair, Usage};
use cloudnestle_mock_server::MockServer;

const AUTHENTICATION: &str = include_str!("../../../docs/guides/authentication.md");
const LIMITS: &str = include_str!("../../../docs/guides/limits.md");

async fn sdk_of(server: &MockServer) -> (MarketplaceSdk, TokenPair) {
    let pair = server.token_pair("cus_ravi", "sol_faiss_search").await.unwrap();
    let sdk = MarketplaceSdk::builder()
        .url(server.url())
        .solution("sol_faiss_search")
        .secret_key(server.secret_key("sol_faiss_search").unwrap())
        .spool_in_memory()
        .build();
    (sdk.unwrap(), pair)
}

#[tokio::test]
async fn the_authentication_guides_rust_works() -> Result<(), Box<dyn std::error::Error>> {
    let server = MockServer::start().await?;
    let (sdk, pair) = sdk_of(&server).await;
    let token = pair.access_token.expose();
    // As in the guide:
    match sdk.validate_user(token).await {
        Ok(user) => println!("{} is a {:?} customer", user.customer_id, user.tier),
        Err(error) if error.refuses_user() => println!("Open the solution again: {error}"),
        Err(error) => println!("Nobody knows at the moment: {error}"),
    }
    // To here.
    assert_eq!(sdk.validate_user(token).await?.customer_id, "cus_ravi");
    assert!(sdk.validate_user("nonsense").await.unwrap_err().refuses_user());
    let code = server.launch_code("cus_asha", "sol_faiss_search").await?;
    let code = code.expose();
    let launched = {
        // As in the guide:
        let pair = sdk.exchange_code(code, None).await?;
        // To here.
        sdk.validate_user(pair.access_token.expose()).await?
    };
    assert_eq!(launched.customer_id, "cus_asha");
    let visitor = {
        // As in the guide:
        let pair = sdk.create_visitor().await?;
        // To here.
        sdk.validate_user(pair.access_token.expose()).await?
    };
    assert_eq!(visitor.tier, Tier::Anonymous);
    let old = pair.clone();
    // As in the guide:
    let pair = sdk.refresh(&pair).await?; // keep it in place of the old one
    // To here.
    assert_ne!(pair.refresh_token, old.refresh_token);
    let folder = tempfile::tempdir()?;
    let dir = folder.path();
    let solution = server.solutions().into_iter().find(|it| it.id == "sol_faiss_search");
    let (url, key) = (server.url(), solution.expect("it is built in").publishable_key);
    // As in the guide:
    let client = ClientSdk::builder()
        .publishable_key(key) // to exchange codes and welcome visitors; else it needs none
        .solution("sol_faiss_search")
        .url(url)
        .spool_dir(dir) // where usage waits until it is delivered
        .build()?;
    let source = client.keep_fresh(pair); // of exchange_code(code, verifier), or from your backend
    let context = source.call(async |token| client.get_user_context(token).await).await?;
    client.track_usage(source.access_token().await?.expose(), "view").await?;
    // To here.
    client.flush().await?;
    assert_eq!((&*context.customer_id, client.stats().usage.delivered), ("cus_ravi", 1));

    each_block_is_run(AUTHENTICATION, "the_authentication_guides_rust_works");
    Ok(())
}

#[tokio::test]
async fn the_limits_guides_rust_works() -> Result<(), Box<dyn std::error::Error>> {
    let server = MockServer::start().await?;
    let (sdk, pair) = sdk_of(&server).await;
    let token = pair.access_token.expose();
    // As in the guide:
    match sdk.consume(token, "export").await {
        Ok(_) => println!("here is your file"),
        Err(error) if error.code() == Code::QuotaExceeded => match error.denial() {
            Some(denial) => println!("used up until {}", denial.resets_at),
            None => println!("not now: {error}"),
        },
        Err(error) if error.refuses_user() => println!("Open the solution again: {error}"),
        Err(error) => println!("Nobody knows at the moment: {error}"),
    }
    // To here.
    {
        // As in the guide:
        let consumed = sdk.consume(token, Usage::of("export").quantity(2)).await?;
        let event = consumed.receipt().reference().await?;
        sdk.flush().await?;
        sdk.track_usage(token, Usage::of("export").quantity(2).voids(event)).await?; // it failed
        // To here.
    }
    // As in the guide:
    let consumed = sdk.consume(token, "export").await?;
    if consumed.is_overage() {
        println!("allowed in an outage; it counts, be it beyond the limit");
    }
    // To here.
    sdk.flush().await?;
    let quotas = sdk.quotas("cus_ravi").await?;
    let export = quotas.iter().find(|quota| quota.action == "export").expect("a limit");
    assert_eq!((export.used, sdk.stats().usage.rejected), (2, 0));
    each_block_is_run(LIMITS, "the_limits_guides_rust_works");
    Ok(())
}

/// The Rust of a guide is that of a test of this file, between its lines that say so.
fn each_block_is_run(guide: &str, test: &str) {
    let (_, test) = include_str!("guides.rs").split_once(&format!("async fn {test}(")).unwrap();
    let (test, _) = test.split_once("\n}\n").unwrap();
    let blocks = test.split("// As in the guide:\n").skip(1);
    let mut compared = 0;
    for lines in blocks.filter_map(|rest| Some(rest.split_once("// To here.")?.0)) {
        let indent = lines.len() - lines.trim_start().len();
        let lines: Vec<&str> = lines.lines().map(|line| line.get(indent..).unwrap_or("")).collect();
        let block = format!("```rust\n{}\n```", lines.join("\n").trim_end());
        assert!(guide.contains(&block), "the guide has no\n{block}");
        compared += 1;
    }
    assert_eq!(compared, guide.matches("```rust").count(), "each block is run");
}
